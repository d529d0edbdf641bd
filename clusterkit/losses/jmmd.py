"""The joint maximum mean discrepancy: how far the features and outputs of two domains are from one distribution."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows, sum_all

SCALES = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Variances of the Gaussians on features, in mean squared distances of the batch."""
SOFTMAX_WIDTH = 0.92
"""Standard deviation of the Gaussian on class probabilities."""


def jmmd(features: Tensor, prob: Tensor, weight: Tensor) -> Tensor:
    """Return the JMMD of source and target items, squared (Long et al. 2017, JAN).

    `features` (B, D) and `prob` (B, K) are those of a mixed batch; `weight` (B,) is 1/n of the domain for its n source
    items and -1/n for its n target items, so that with the kernel matrix M, the product of one on the features and one
    on the probabilities, the discrepancy is weight' M weight: mean over the pairs within either domain, less twice that
    across. It is never negative, and zero for two equal samples. The kernel on features is a sum of five Gaussians,
    whose widths follow the mean squared distance of the batch and are constants to the gradient.

    On several processes each has its rows (b, ...) and returns its part of the sum; the gradient is the whole one's.
    """
    kernel = torch.ones((), device=features.device)
    for layer, own in enumerate((features, prob)):
        distance = distances_between(own, gather_rows(own))
        kernel = kernel * (_several(distance) if layer == 0 else _gaussian(distance, 2 * SOFTMAX_WIDTH**2))
    return weight @ kernel @ gather_rows(weight)


def domain_weights(source: int, target: int, own: Sequence[int], device: torch.device) -> Tensor:
    """Return the weights of `own` = (source, target) rows of a batch of so many of each, for `jmmd`."""
    return torch.cat(
        [torch.full((own[0],), 1 / source, device=device), torch.full((own[1],), -1 / target, device=device)]
    )


def distances_between(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distances (b, B) of rows (b, D) and (B, D)."""
    return torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2).clamp_min(0)


def _several(distance: Tensor) -> Tensor:
    total = sum_all(torch.stack([distance.detach().sum(), torch.tensor(float(distance.numel())).to(distance)]))
    mean = (total[0] / total[1]).clamp_min(torch.finfo(distance.dtype).tiny)
    return torch.stack([_gaussian(distance, 2 * scale * mean) for scale in SCALES]).sum(0)


def _gaussian(distance: Tensor, twice_variance: Tensor | float) -> Tensor:
    return (-distance / twice_variance).exp()
