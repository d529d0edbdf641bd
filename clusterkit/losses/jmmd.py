"""The joint maximum mean discrepancy, a distance between the distributions of features and outputs in two domains."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows, sum_all

SCALES = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Variances of the Gaussians on features, in units of the batch's mean squared distance."""
SOFTMAX_WIDTH = 0.92
"""Standard deviation of the Gaussian on class probabilities."""


def jmmd(features: Tensor, prob: Tensor, weight: Tensor) -> Tensor:
    """Return the squared JMMD of source and target items (Long et al. 2017, JAN).

    `features` (B, D) and `prob` (B, K) are those of a mixed batch. `weight` (B,) is 1/n for each of the batch's n
    source items and -1/m for each of its m target items. With the kernel matrix M, the product of a kernel on the
    features and one on the probabilities, the result is weight' M weight: the mean of M over the pairs within each
    domain, minus twice the mean across domains. It is never negative, and 0 for two equal samples. The kernel on
    features is a sum of five Gaussians. Their widths follow the batch's mean squared distance and have no gradient.

    With several processes, each passes its rows (b, ...) and gets its part of the sum; the gradient is that of the
    whole sum.
    """
    kernel = torch.ones((), device=features.device)
    for layer, values in enumerate((features, prob)):
        distance = distances_between(values, gather_rows(values))
        kernel = kernel * (_several(distance) if layer == 0 else _gaussian(distance, 2 * SOFTMAX_WIDTH**2))
    return weight @ kernel @ gather_rows(weight)


def domain_weights(source: int, target: int, rows: Sequence[int], device: torch.device) -> Tensor:
    """Return the weights (b,) that `jmmd` takes for `rows` = (source, target) rows of a batch.

    The whole batch has `source` and `target` items.
    """
    return torch.cat(
        [torch.full((rows[0],), 1 / source, device=device), torch.full((rows[1],), -1 / target, device=device)]
    )


def distances_between(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distances (b, B) of rows (b, D) and (B, D)."""
    return torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2).clamp_min(0)


def _several(distance: Tensor) -> Tensor:
    sums = sum_all(torch.stack([distance.detach().sum(), distance.new_full((), distance.numel())]))
    mean = (sums[0] / sums[1]).clamp_min(torch.finfo(distance.dtype).tiny)
    return torch.stack([_gaussian(distance, 2 * scale * mean) for scale in SCALES]).sum(0)


def _gaussian(distance: Tensor, twice_variance: Tensor | float) -> Tensor:
    return (-distance / twice_variance).exp()
