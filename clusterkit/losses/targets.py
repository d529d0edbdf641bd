"""Targets that sharpen a soft assignment, and the terms that train towards them (DEC; DTC)."""

import math

import torch
from torch import Tensor

TINY = 1e-30
"""Least size of a cluster that is divided by."""


def sharpened(prob: Tensor) -> Tensor:
    """Return p_ik = (q_ik² / f_k) / sum_j (q_ij² / f_j) with f_k = sum_i q_ik (N, K) (DEC, equation 3).

    `prob` (N, K) are the assignment probabilities q of all items. Dividing by the size f_k of a cluster keeps large
    clusters from drawing all items.
    """
    weights = prob.square() / prob.sum(0).clamp_min(TINY)
    return weights / weights.sum(1, keepdim=True)


def divergences(target: Tensor, log_prob: Tensor) -> Tensor:
    """Return KL(p_i || q_i) = sum_k p_ik log(p_ik / q_ik) (b,) of targets p and log q (b, K) (DEC, equation 2)."""
    return (torch.xlogy(target, target) - target * log_prob).sum(1)


def risen(epoch: int, length: int) -> float:
    """Return exp(-5 (1 - t / length)²) for the epoch t, counted from 0, and 1 from t = length on (DTC).

    This is the part of a rising weight that is reached.
    """
    return math.exp(-5 * (1 - min(1.0, epoch / length)) ** 2)


def averaged(total: Tensor, latest: Tensor, decay: float) -> Tensor:
    """Return decay Z + (1 - decay) z (N, K), the sum over epochs of `latest` predictions z (N, K).

    After t epochs, Z / (1 - decay^t) is their weighted mean, the temporal ensemble (DTC).
    """
    return decay * total + (1 - decay) * latest
