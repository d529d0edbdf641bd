"""Predictions of a trained network, and the numbers that standardise a set."""

from collections.abc import Iterator

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.errors import InputError
from clusterkit.networks.build import ClusterNet

ROUNDING = {torch.float64: 1e-15}
"""Standard deviation, as a share of the mean, up to which values are the same number but for rounding, by type."""
USUAL_ROUNDING = 1e-7
"""The same for float32, and for other types that are computed in float32."""
LIMIT = 10.0
"""Largest number of standard deviations between a vector's feature and its mean."""


def predict(network: ClusterNet, subset: Subset, device: torch.device) -> Tensor:
    """Return the probabilities (N, K) of the clean items, float32 on the CPU."""
    return torch.cat([prob for _, prob in represent(network, subset, device)])


def finite(values: Tensor) -> Tensor:
    """Return what a network makes of items. Raises InputError if it is not finite."""
    if not values.isfinite().all():
        raise InputError(
            "what the network makes of the items is not finite, because its weights or the items are huge; train it "
            "again, or scale the items down"
        )
    return values


def represent(network: ClusterNet, subset: Subset, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, block by block of the clean items, the hidden layer's values (B, H) and the probabilities (B, K).

    Both are float32 on the CPU. Raises InputError if they are not finite.
    """
    network.eval()
    for items in subset.blocks(device):
        with torch.no_grad():
            hidden = network.bottleneck(to_float(items))
            prob = finite(network.outputs(hidden).softmax(1))
        yield hidden.cpu().float(), prob.cpu().float()


def limit_of(shape: tuple[int, ...]) -> float | None:
    """Return the limit of standardised items of a shape: LIMIT for vectors, None for images.

    A feature that is the same for nearly all items, such as a corner of an image, lies hundreds of standard deviations
    off in an item where it differs. Without a limit it would outweigh all other features.
    """
    return LIMIT if len(shape) == 1 else None


def mean_and_std(subset: Subset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel (C,) or feature (D,) of a set, images scaled to 0..1.

    The standard deviation of a constant channel or feature is given as 1.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for block in subset.blocks():
        rounding = ROUNDING.get(block.dtype, USUAL_ROUNDING)
        values = to_float(block).double()
        values = values.transpose(0, 1).flatten(1) if values.dim() == 4 else values.T
        if not count:
            # Sums of differences from it stay exact even if the mean is much larger than the deviation.
            reference = values.mean(1, keepdim=True)
        values = values - reference
        count += values.shape[1]
        total = total + values.sum(1)
        squares = squares + values.square().sum(1)
    offset = total / count
    mean = reference[:, 0] + offset
    std = (squares / count - offset.square()).clamp_min(0).sqrt()
    std[std <= rounding * mean.abs()] = 1
    return tuple(mean.tolist()), tuple(std.tolist())
