"""The terms of AutoNovel (Han et al. 2020)."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.blocks import known_gradients, row_blocks

EPSILON = 1e-7


def largest(features: Tensor, count: int) -> Tensor:
    """Return the positions (b, `count`) of the largest features of each item (b, D), in rising order.

    Of equal features the first counts as the largest. `count` is at most D.
    """
    rest, columns = features.detach().clone(), list[Tensor]()
    for _ in range(count):
        columns.append(rest.argmax(1, keepdim=True))
        rest.scatter_(1, columns[-1], -torch.inf)
    return torch.cat(columns, 1).sort(1).values


def same_sets(first: Tensor, second: Tensor) -> Tensor:
    """Return whether each row of `first` (b, R) equals each row of `second` (B, R), as booleans (b, B)."""
    same = torch.ones(len(first), len(second), dtype=torch.bool, device=first.device)
    for left, right in zip(first.T, second.T, strict=True):
        same &= left[:, None] == right
    return same


def pair_entropy(first: Tensor, second: Tensor, similar: Tensor) -> Tensor:
    """Return the mean binary cross entropy () of all ordered pairs of an item in one view and an item in another.

    `first` (B, K) and `second` (B, K) are a network's outputs for the two views before the softmax, of any floating
    type. `similar` (B, B) are booleans. The probability that a pair shares a cluster is the inner product of its two
    distributions. All of them are one B x K x B matrix product, computed in blocks of rows.

    With several processes, `first` (b, K), `second` (b, K) and `similar` (b, B) are this process's rows of the batch.
    The value is this process's part of the mean; the gradient is that of the whole loss.
    """
    p, q = first.float().softmax(1), gather_rows(second.float().softmax(1))
    return known_gradients(p, q, *_value_and_gradients(p.detach(), q.detach(), similar))


def _value_and_gradients(p: Tensor, q: Tensor, similar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss () of the pairs of `p` (b, K) with `q` (B, K), and its gradients by both."""
    pairs = len(q) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    by_p, by_q = torch.empty_like(p), torch.zeros_like(q)
    for rows in row_blocks(len(p), len(q), p.device):
        apart = (~similar[rows]).to(p.dtype)
        # The likelihood of a pair, with a minus sign if it is dissimilar: then its inverse is the slope of either kind.
        # Rounding can lift an inner product of two distributions above 1.
        likely = (p[rows] @ q.T).clamp_max_(1).sub_(apart).sub_(apart, alpha=2 * EPSILON).add_(EPSILON)
        slope = likely.reciprocal()
        total -= likely.abs_().log_().sum()
        by_p[rows] = slope @ q
        by_q += (p[rows].T @ slope).T
    return total / pairs, by_p.div_(-pairs), by_q.div_(-pairs)


def inconsistency(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference (b,) of the probabilities (b, K) of two views of each item."""
    return (first - second).square().mean(1)
