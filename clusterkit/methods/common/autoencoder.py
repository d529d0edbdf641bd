"""The stacked autoencoder of DEC, whose encoder is a backbone that learns from unlabelled items alone."""

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.config import Optimizer
from clusterkit.distributed import Share, share
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
    starts = [place for place, layer in enumerate(encoder) if isinstance(layer, nn.Linear)]
    # Made before the first training, so that their first weights are the same in a resumed run.
    decoders = [_mirrored(encoder[place], last=place == starts[0]).to(run.device) for place in starts]
    assert run.state is not None
    whole = Plan(
        title=f"cluster {joint.subset.name}, autoencoder", epochs=epochs, steps=sampler.steps, learning_rate=RATE,
        seed=run.seed, state=run.state.with_stem(f"{run.state.stem}, autoencoder"), key=run.key, resume=run.resume,
        precision=options.precision, optimizer=Optimizer.ADAM,
    )  # fmt: skip

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of(joint.subset, sampler, generator, run.device)

    def train(below: nn.Module, code: nn.Module, decode: nn.Module, plan: Plan, dropout: float) -> History:
        def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
            index, x = batch
            shard = share(len(index))
            with torch.no_grad():
                values = below(network.standardise(x).flatten(1))
            hidden = code(_partly(values, dropout, shard, generator))
            decoded = decode(_partly(hidden, dropout, shard, generator))
            return {"reconstruction": F.mse_loss(decoded, values) * shard.weight}

        return fit(nn.ModuleDict({"code": code, "decode": decode}), batches, step, plan)

    histories = {}
    for number, (place, end) in enumerate(zip(starts, [*starts[1:], len(encoder)], strict=True), 1):
        title = f"layer {number}"
        plan = replace(
            whole, title=f"{whole.title}, {title}", epochs=max(1, epochs // SHORTER),
            state=whole.state.with_stem(f"{whole.state.stem}, {title}"),
        )  # fmt: skip
        layer = nn.Sequential(*list(encoder)[place:end])
        histories[title] = train(nn.Sequential(*list(encoder)[:place]), layer, decoders[number - 1], plan, DROPOUT)
    decoder = nn.Sequential(*reversed(decoders))
    return {**histories, "autoencoder": train(nn.Identity(), encoder, decoder, whole, 0.0)}


def _mirrored(layer: nn.Module, *, last: bool) -> nn.Sequential:
    """Return the layer that maps the output of a linear layer back to its input; all but the `last` are rectified."""
    assert isinstance(layer, nn.Linear)
    return nn.Sequential(nn.Linear(layer.out_features, layer.in_features), nn.Identity() if last else nn.ReLU())


def _partly(x: Tensor, dropout: float, shard: Share, generator: torch.Generator) -> Tensor:
    """Return values (b, D) of this process's rows, of which a share `dropout` is zero and the rest is larger."""
    if dropout == 0:
        return x
    kept = torch.rand(shard.total, x.shape[1], generator=generator)[shard.rows].to(x.device) >= dropout
    return x * kept / (1 - dropout)
