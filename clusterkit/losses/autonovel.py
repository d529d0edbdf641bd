"""The terms of AutoNovel beside its pair loss, which is `ccl_of_views` (Han et al. 2020)."""

import torch
from torch import Tensor

STEEPNESS = 5.0
"""Steepness of the ramp, 5 in its equation."""


def largest(features: Tensor, count: int) -> Tensor:
    """Return the positions (b, `count`) of the largest features of each item (b, D), in rising order.

    Of equal features the first counts as the largest. `count` is at most D.
    """
    rest, found = features.detach().clone(), list[Tensor]()
    for _ in range(count):
        found.append(rest.argmax(1, keepdim=True))
        rest.scatter_(1, found[-1], -torch.inf)
    return torch.cat(found, 1).sort(1).values


def same_sets(first: Tensor, second: Tensor) -> Tensor:
    """Return whether each row of `first` (b, R) equals each row of `second` (B, R), as booleans (b, B)."""
    same = torch.ones(len(first), len(second), dtype=torch.bool, device=first.device)
    for left, right in zip(first.T, second.T, strict=True):
        same &= left[:, None] == right
    return same


def inconsistency(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference (b,) of the probabilities (b, K) of two views of each item."""
    return (first - second).square().mean(1)


def rise(epoch: Tensor, length: int) -> Tensor:
    """Return exp(-5 (1 - t / length)²) () after t epochs, and 1 from `length` epochs on (Laine and Aila 2017)."""
    left = 1 - (epoch / length).clamp_max(1)
    return (-STEEPNESS * left.square()).exp()
