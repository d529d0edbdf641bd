"""What a trained network says of a set, and the numbers that standardise it."""

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import ClusterNet


def predict(network: ClusterNet, subset: Subset, device: torch.device) -> Tensor:
    """Return the probabilities (N, K) of the clean items, float32 on the CPU."""
    network.eval()
    with torch.no_grad():
        parts = [network(to_float(items)).softmax(1).cpu() for items in subset.blocks(device)]
    return torch.cat(parts).float()


def mean_and_std(subset: Subset) -> tuple[float, float]:
    """Return the mean and standard deviation of all values of a set, images scaled to 0..1."""
    count, total, squares = 0, 0.0, 0.0
    for block in subset.blocks():
        values = to_float(block).double()
        count += values.numel()
        total += float(values.sum())
        squares += float(values.square().sum())
    mean = total / count
    return mean, max((squares / count - mean**2) ** 0.5, 1e-6)
