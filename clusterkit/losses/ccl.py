"""The constrained clustering likelihood, later named meta classification likelihood."""

import torch
from torch import Tensor

EPSILON = 1e-7


def ccl(logits: Tensor, similar: Tensor) -> Tensor:
    """Return CCL, the mean negative log-likelihood of all ordered pairs (Hsu et al. 2018, equations 1 to 3).

    `logits` (B, K) are a network's outputs before the softmax; `similar` (B, B) is 1 for a similar pair, 0 for a
    dissimilar one, or a probability in between. The probability that a pair shares a cluster is the inner product
    of its two distributions, so all of them are one B x K x B matrix product.
    """
    p = torch.softmax(logits.float(), dim=1)
    together = p @ p.T
    # Rounding can take an inner product of two distributions a little over 1.
    apart = (1 - together).clamp_min(0)
    return -(similar * (together + EPSILON).log() + (1 - similar) * (apart + EPSILON).log()).mean()
