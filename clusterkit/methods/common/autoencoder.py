"""The stacked autoencoder of DEC, whose encoder is a backbone that learns from unlabelled items alone."""

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.config import Optimizer
from clusterkit.device import send
from clusterkit.distributed import share
from clusterkit.methods.common.joint import Joint
from clusterkit.training import History, Plan, batches_of, fit

DROPOUT = 0.2
"""Share of the values that are left out while a layer learns alone."""
RATE = 1e-3
"""Learning rate of the autoencoder, by Adam."""
SHORTER = 4
"""A layer alone takes this many times fewer epochs than the whole."""


def learn_to_reconstruct(joint: Joint, epochs: int) -> dict[str, History]:
    """Train the backbone of a joint training, and a decoder that is thrown away, to reconstruct the standardised items.

    Each layer first learns alone to reconstruct its input from a part of it (DEC, section 3.2). Returns the histories
    by title.
    """
    network, run, options = joint.net.network, joint.run, joint.options
    sampler = joint.sampler
    encoder = network.backbone
    layers = {place: layer for place, layer in enumerate(encoder) if isinstance(layer, nn.Linear)}
    starts = list(layers)
    # Made before the first training, so that their first weights are the same in a resumed run.
    decoders = [_mirrored(layer, last=place == starts[0]).to(run.device) for place, layer in layers.items()]
    assert run.state is not None
    whole = Plan(
        title=f"cluster {joint.subset.name}, autoencoder", epochs=epochs, steps=sampler.steps, learning_rate=RATE,
        seed=run.seed, state=run.state.with_stem(f"{run.state.stem}, autoencoder"), key=run.key, resume=run.resume,
        precision=options.precision, optimizer=Optimizer.ADAM,
    )  # fmt: skip

    def train(below: nn.Module, code: nn.Module, decode: nn.Module, plan: Plan, *widths: int) -> History:
        """Train both halves to reconstruct what is `below` them.

        Each half reads a part of its input, if `widths` are those of the two inputs.
        """

        def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
            for index, x in batches_of(joint.subset, sampler, generator, run.device):
                rows = share(len(index)).rows
                masks = [torch.rand(len(index), width, generator=generator)[rows] >= DROPOUT for width in widths]
                yield index, x, *(send(mask, run.device) for mask in masks)

        def step(batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
            index, x, *masks = batch
            first, second = masks or (None, None)
            with torch.no_grad():
                values = below(network.standardise(x).flatten(1))
            decoded = decode(_partly(code(_partly(values, first)), second))
            return {"reconstruction": F.mse_loss(decoded, values) * share(len(index)).weight}

        return fit(nn.ModuleDict({"code": code, "decode": decode}), batches, step, plan)

    histories = {}
    for number, (place, end) in enumerate(zip(starts, [*starts[1:], len(encoder)], strict=True), 1):
        title = f"layer {number}"
        plan = replace(
            whole, title=f"{whole.title}, {title}", epochs=max(1, epochs // SHORTER),
            state=whole.state.with_stem(f"{whole.state.stem}, {title}"),
        )  # fmt: skip
        below, group = nn.Sequential(*list(encoder)[:place]), nn.Sequential(*list(encoder)[place:end])
        widths = layers[place].in_features, layers[place].out_features
        histories[title] = train(below, group, decoders[number - 1], plan, *widths)
    decoder = nn.Sequential(*reversed(decoders))
    return {**histories, "autoencoder": train(nn.Identity(), encoder, decoder, whole)}


def _mirrored(layer: nn.Linear, *, last: bool) -> nn.Sequential:
    """Return the layer that maps the output of a linear layer back to its input; all but the `last` are rectified."""
    return nn.Sequential(nn.Linear(layer.out_features, layer.in_features), nn.Identity() if last else nn.ReLU())


def _partly(x: Tensor, kept: Tensor | None) -> Tensor:
    """Return values (b, D) that are zero except where `kept` (b, D), and larger there; without it, all as they are."""
    return x if kept is None else x * kept / (1 - DROPOUT)
