"""What a trained network says of a set, and the numbers that standardise it."""

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import ClusterNet

ROUNDING = 1e-7
"""How far float32 values of one number may lie apart, as a share of it."""
LIMIT = 10.0
"""How many deviations a feature of a vector may lie off its mean."""


def predict(network: ClusterNet, subset: Subset, device: torch.device) -> Tensor:
    """Return the probabilities (N, K) of the clean items, float32 on the CPU."""
    network.eval()
    with torch.no_grad():
        parts = [network(to_float(items)).softmax(1).cpu() for items in subset.blocks(device)]
    return torch.cat(parts).float()


def limit_of(shape: tuple[int, ...]) -> float | None:
    """Return the limit of standardised items of a shape: vectors have one, images none.

    A feature that is the same for nearly all items, as an image's corner is, lies hundreds of deviations off in an item
    where it differs; without a limit it would count for more than all other features.
    """
    return LIMIT if len(shape) == 1 else None


def mean_and_std(subset: Subset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel (C,) or feature (D,) of a set, images scaled to 0..1.

    The deviation of a channel or feature that does not vary is given as 1.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for block in subset.blocks():
        values = to_float(block).double()
        values = values.transpose(0, 1).flatten(1) if values.dim() == 4 else values.T
        if not count:
            # Sums of what is left beside it stay exact where the mean is large beside the deviation.
            near = values.mean(1, keepdim=True)
        values = values - near
        count += values.shape[1]
        total = total + values.sum(1)
        squares = squares + values.square().sum(1)
    beside = total / count
    mean = near[:, 0] + beside
    std = (squares / count - beside.square()).clamp_min(0).sqrt()
    std[std <= ROUNDING * mean.abs()] = 1
    return tuple(mean.tolist()), tuple(std.tolist())
