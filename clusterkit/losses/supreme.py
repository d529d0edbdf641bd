"""The terms of SUPREME as matrix products (Huang and Gong 2020)."""

import math

import torch
from torch import Tensor

from clusterkit.losses.blocks import known_gradients, row_blocks

EPSILON = 1e-7


def soft_constraints(first: Tensor, second: Tensor) -> Tensor:
    """Return r_ij = p_i . p_j (b, B), the probability that items share a cluster (equation 2).

    `first` (b, K) and `second` (B, K) are the items' assignment probabilities.
    """
    return first @ second.T


def joint_entropy(prob: Tensor) -> Tensor:
    """Return H_ij = -sum_k p_ik p_jk log(p_ik p_jk) (B, B) of assignment probabilities (B, K) (equation 4).

    Since log(ab) = log a + log b, this is -((P log P) P' + P (P log P)'), one matrix product of width 2 K.
    """
    entropy = torch.special.entr(prob)
    return torch.cat([entropy, prob], 1) @ torch.cat([prob, entropy], 1).T


def confidence(prob: Tensor, tau: float) -> Tensor:
    """Return the weight w_ij (B, B) of each constraint of a batch; all weights sum to 1 (equation 4).

    H_max is read as (log K)². The other reading, log(K²), is the same weight at another `tau`: H_max cancels from the
    numerator, so only the product of H_max and `tau` counts.
    """
    weight = joint_entropy(prob).div_(-(math.log(prob.shape[1]) ** 2) * tau)
    # This is a softmax over all pairs in place, as fresh memory for B x B numbers takes longer than the arithmetic.
    weight.sub_(weight.amax()).exp_()
    return weight.div_(weight.sum())


def weighted_constraints(prob: Tensor, tau: float) -> Tensor:
    """Return r_ij w_ij (B, B), each constraint times its weight, and 0 for an item with itself."""
    return confidence(prob, tau).mul_(soft_constraints(prob, prob)).fill_diagonal_(0)


def constrained(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    """Return -sum_ij t_ij log(p_i . q_j) (), the weighted constraints of a batch (equations 3 and 5).

    `first` (b, K) and `second` (B, K) are the assignment probabilities of two views, and `target` (b, B) is the product
    of each constraint with its weight.
    """
    return known_gradients(first, second, *_value_and_gradients(first.detach(), second.detach(), target))


def _value_and_gradients(p: Tensor, q: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return `constrained` () of `p` (b, K) and `q` (B, K), and its gradients by both."""
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    by_p, by_q = torch.empty_like(p), torch.zeros_like(q)
    for rows in row_blocks(len(p), len(q), p.device):
        same = soft_constraints(p[rows], q).add_(EPSILON)
        slope = target[rows] / same
        total -= same.log_().mul_(target[rows]).sum()
        by_p[rows] = slope @ q
        by_q += (p[rows].T @ slope).T
    return total, by_p.neg_(), by_q.neg_()


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Return -log(p_i . q_i) (b,) of two views of each item, whose constraint is certain (section 3.1)."""
    return -((first * second).sum(1) + EPSILON).log()


def imbalance(prob: Tensor) -> Tensor:
    """Return log K + sum_k s_k log s_k () of the mean assignment s of all items (B, K) (equation 6)."""
    size = prob.mean(0)
    # At 0 the entropy is 0 as at 1, but its slope has no limit.
    entropy: Tensor = torch.special.entr(torch.where(size > 0, size, 1)).sum()
    return math.log(prob.shape[1]) - entropy


def indecision(factors: Tensor) -> Tensor:
    """Return the mean binary entropy () of factors (b, D) in 0..1 (equation 7)."""
    # Trained factors round to 0 and 1, where the entropy is 0, but its slope has no limit.
    inside = (factors > 0) & (factors < 1)
    between = torch.where(inside, factors, 0.5)
    entropy = torch.special.entr(between) + torch.special.entr(1 - between)
    return torch.where(inside, entropy, 0).mean()
