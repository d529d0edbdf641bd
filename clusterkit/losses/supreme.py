"""The terms of SUPREME as matrix products (Huang and Gong 2020)."""

import math

import torch
from torch import Tensor

EPSILON = 1e-7


def soft_constraints(first: Tensor, second: Tensor) -> Tensor:
    """Return r_ij = p_i . p_j (b, B), the probability that items share a cluster (equation 2).

    `first` (b, K) and `second` (B, K) are the items' assignment probabilities.
    """
    return first @ second.T


def joint_entropy(prob: Tensor) -> Tensor:
    """Return H_ij = -sum_k p_ik p_jk log(p_ik p_jk) (B, B) of assignment probabilities (B, K) (equation 4).

    Since log(ab) = log a + log b, this is two matrix products: -((P log P) P' + P (P log P)').
    """
    products: Tensor = torch.special.entr(prob) @ prob.T
    return products + products.T


def confidence(prob: Tensor, tau: float) -> Tensor:
    """Return the weight w_ij (B, B) of each constraint of a batch; all weights sum to 1 (equation 4).

    H_max is read as (log K)². The other reading, log(K²), is the same weight at another `tau`: H_max cancels from the
    numerator, so only the product of H_max and `tau` counts.
    """
    scale = math.log(prob.shape[1]) ** 2 * tau
    return (-joint_entropy(prob) / scale).flatten().softmax(0).view(len(prob), len(prob))


def constrained(first: Tensor, second: Tensor, target: Tensor) -> Tensor:
    """Return -sum_ij t_ij log(p_i . q_j) (), the weighted constraints of a batch (equations 3 and 5).

    `first` (b, K) and `second` (B, K) are the assignment probabilities of two views, and `target` (b, B) is the product
    of each constraint with its weight.
    """
    return -(target * (soft_constraints(first, second) + EPSILON).log()).sum()


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Return -log(p_i . q_i) (b,) of two views of each item, whose constraint is certain (section 3.1)."""
    return -((first * second).sum(1) + EPSILON).log()


def imbalance(prob: Tensor) -> Tensor:
    """Return log K + sum_k s_k log s_k () of the mean assignment s of all items (B, K) (equation 6)."""
    entropy: Tensor = torch.special.entr(prob.mean(0)).sum()
    return math.log(prob.shape[1]) - entropy


def indecision(factors: Tensor) -> Tensor:
    """Return the mean binary entropy () of factors (b, D) in 0..1 (equation 7)."""
    entropy: Tensor = torch.special.entr(factors) + torch.special.entr(1 - factors)
    return entropy.mean()
