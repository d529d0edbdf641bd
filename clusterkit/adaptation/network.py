"""The classifier of `adapt` before its training: its backbone, and the weights that it starts from."""

import logging
import time

import torch

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.artifacts.files import sha256
from clusterkit.config import AdaptConfig, Backbone, Context
from clusterkit.console import duration
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.device import derive_seed
from clusterkit.distributed import first_alone
from clusterkit.errors import InputError
from clusterkit.features.models import Model
from clusterkit.networks.backbones import has_weights, load_pretrained, weights_file, weights_statistics
from clusterkit.networks.build import BOTTLENECK, Architecture, ClusterNet, TailOf
from clusterkit.networks.predict import limit_of, mean_and_std, predict
from clusterkit.settings import Fixed, Init

log = logging.getLogger("clusterkit")

TIMED = 16
"""The number of source images by which the time of a training is estimated."""
BACKWARD = 3
"""The time of a training step, in units of a prediction's: the gradient takes twice as long."""


def new_network(
    config: AdaptConfig, context: Context, models: tuple[Model, ...], source: Dataset, outputs: int
) -> tuple[ClusterNet, str, dict[str, str]]:
    """Return an untrained classifier and what its backbone starts from.

    If these are ImageNet weights, also return the hash of their file as an input.
    """
    backbone = None if isinstance(config.backbone, Fixed) else config.backbone
    width = source.shape[0] if backbone is None else None
    weights = (
        backbone is not None
        and has_weights(backbone, source.shape)
        and config.pretrained
        and weights_at_hand(backbone, context)
    )
    torch.manual_seed(derive_seed(context.seed, "adapt"))
    if config.fine_tune is not None:
        return with_tail(models[0], source, outputs), str(config.backbone), {}
    mean, std = weights_statistics(backbone) if backbone and weights else mean_and_std(source.union())
    network = ClusterNet(
        Architecture(backbone, source.shape, mean, std, BOTTLENECK, outputs, limit=limit_of(source.shape), width=width)
    )
    if backbone is None:
        return network, str(config.backbone), {}
    if not weights:
        return network, Init.RANDOM.value, {}
    return (
        network,
        "imagenet",
        {"weights": sha256(load_pretrained(network.backbone, backbone, offline=context.offline))},
    )


def with_tail(model: Model, source: Dataset, outputs: int) -> ClusterNet:
    """Return an untrained classifier on the last blocks of a fixed backbone, which start from its weights."""
    tail = model.tail()
    with torch.no_grad():
        width = tail(torch.zeros(1, *model.map)).shape[1]
    [count] = source.shape
    network = ClusterNet(
        Architecture(
            None, source.shape, (0.0,) * count, (1.0,) * count, BOTTLENECK, outputs, width=width,
            tail=TailOf(model.name, model.size, model.blocks, model.map),
        )
    )  # fmt: skip
    network.backbone[1].load_state_dict(tail.state_dict())
    return network


def tell_of_blocks(network: ClusterNet, source: Subset, config: AdaptConfig, steps: int, device: torch.device) -> None:
    """Log what is trained of a fixed backbone, and about how long it takes, from the time of a few items."""
    few = source.take(torch.arange(min(TIMED, len(source))))
    # The first prediction also prepares the layers.
    predict(network, few, device)
    started = time.monotonic()
    predict(network, few, device)
    seconds = (time.monotonic() - started) / len(few)
    batch = config.source_batch + (config.target_batch if ADAPTATIONS[config.method].terms else 0)
    blocks = "block" if config.fine_tune == 1 else f"{config.fine_tune} blocks"
    log.info(
        "adapt: trains also the last %s of %s and what follows: %.1f million weights, about %s",
        blocks, config.backbone, sum(value.numel() for value in network.backbone.parameters()) / 1e6,
        duration(BACKWARD * seconds * batch * steps),
    )  # fmt: skip


def weights_at_hand(backbone: Backbone, context: Context) -> bool:
    """Return whether the ImageNet weights exist or can be downloaded; log the reason if not."""
    reason = None
    with first_alone():
        try:
            weights_file(backbone, offline=context.offline)
        except InputError as error:
            reason = str(error).partition(";")[0]
    if reason is not None:
        log.warning("adapt: %s starts from random weights: %s", backbone, reason)
    return reason is None
