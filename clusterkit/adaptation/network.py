"""The classifier of `adapt` before its training: its backbone, and the weights that it starts from."""

import logging
import time
from collections.abc import Sequence

import torch

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.artifacts.files import sha256
from clusterkit.config import AdaptConfig, Backbone, Context
from clusterkit.console import duration, size
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.device import derive_seed
from clusterkit.distributed import first_alone
from clusterkit.errors import InputError, UsageError
from clusterkit.features.models import Model
from clusterkit.methods.common.memory import memory
from clusterkit.networks.backbones import has_weights, load_pretrained, weights_file, weights_statistics
from clusterkit.networks.build import BOTTLENECK, Architecture, ClusterNet, TailOf
from clusterkit.networks.new import untrained
from clusterkit.networks.predict import predict
from clusterkit.settings import Fixed, Init

log = logging.getLogger("clusterkit")

TIMED = 16
"""The number of source images by which the time of a training is estimated."""
BACKWARD = 3
"""The time of a training step, in units of a prediction's: the gradient takes twice as long."""

COPIES = 3.3
"""Copies of all maps that are in memory while they are computed, as measured."""
LARGE = 1e9
"""Bytes of maps from which their size is logged."""


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
    seed = derive_seed(context.seed, "adapt")
    if config.fine_tune is not None:
        torch.manual_seed(seed)
        return with_tail(models[0], source, outputs), str(config.backbone), {}
    network = untrained(
        ClusterNet, backbone, source.union(), seed, hidden=BOTTLENECK, outputs=outputs, width=width,
        statistics=weights_statistics(backbone) if backbone and weights else None,
    )  # fmt: skip
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


def tell_of_blocks(
    network: ClusterNet, source: Subset, target: Subset, config: AdaptConfig, steps: int, device: torch.device
) -> None:
    """Log what is trained of a fixed backbone, and about how long it takes, from the time of a few items.

    The size of the maps that its blocks read is logged if it is large.
    """
    few = source.take(torch.arange(min(TIMED, len(source))))
    # The first prediction also prepares the layers.
    predict(network, few, device)
    started = time.monotonic()
    predict(network, few, device)
    seconds = (time.monotonic() - started) / len(few)
    batch = config.source_batch + (config.target_batch if ADAPTATIONS[config.method].terms else 0)
    blocks = "block" if config.fine_tune == 1 else f"{config.fine_tune} blocks"
    maps = maps_size(network.architecture.shape[0], len(source) + len(target))
    log.info(
        "adapt: trains also the last %s of %s and what follows: %.1f million weights, about %s%s",
        blocks, config.backbone, sum(value.numel() for value in network.backbone.parameters()) / 1e6,
        duration(BACKWARD * seconds * batch * steps), f"; maps of {size(maps)}" if maps > LARGE else "",
    )  # fmt: skip


def check_maps(models: Sequence[Model], count: int, blocks: int) -> None:
    """Raise UsageError if the maps of all `count` items, which the trained blocks read, do not fit in memory."""
    needed, available = COPIES * sum(maps_size(model.width, count) for model in models), memory()
    if available is not None and needed > available:
        raise UsageError(
            f"--fine-tune {blocks}: what the blocks read of {count} pictures needs about {size(needed)} of memory, but "
            f"{size(available)} are left; train fewer blocks or give a smaller --size"
        )


def maps_size(width: int, count: int) -> int:
    """Return the bytes of `count` flat maps of `width` values."""
    return 4 * width * count


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
