"""The contrastive loss on the Kullback-Leibler divergence of two cluster assignments."""

import torch
from torch import Tensor

from clusterkit.losses.blocks import known_gradient, row_blocks

LOWEST = -1e30
"""Below any logarithm of a probability that a gradient could still change; with -inf, 0 log 0 would be no number."""


def kcl(logits: Tensor, similar: Tensor, sigma: float = 2.0) -> Tensor:
    """Return KCL, also called LCO, averaged over all ordered pairs (Hsu et al. 2018, L2C, equations 1 to 6).

    `logits` (B, K) are a network's outputs before the softmax, of any floating type; `similar` (B, B) is 1 for a
    similar pair, 0 for a dissimilar one, or a probability in between; `sigma` is the margin that dissimilar pairs
    are pushed to. In each divergence D(P*||Q) the left side is a constant, as the star says: no gradient flows
    through it. Equation 6 sums both directions of an unordered pair; here each direction is one ordered pair.

    D(P_i||P_j) = sum_k P_ik log P_ik - P_i . log P_j, so all of them are one B x K x B matrix product, of which a
    block of columns is held at a time.
    """
    log_p = torch.log_softmax(logits.float(), dim=1)
    return known_gradient(log_p, *_value_and_gradient(log_p.detach().clamp_min(LOWEST), similar, sigma))


def _value_and_gradient(log_p: Tensor, similar: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return the loss () and its gradient (B, K) by the log-probabilities."""
    p = log_p.exp()
    negative_entropy = (p * log_p).sum(1)
    pairs = len(p) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    gradient = torch.empty_like(p)
    for right in row_blocks(len(p), len(p), p.device):
        # Row j of a block holds the pairs (i, j) of all i.
        s = similar[:, right].T.to(p.dtype)
        divergence = torch.addmm(negative_entropy, log_p[right], p.T, alpha=-1)
        not_s = 1 - s
        hinge = (sigma - divergence).clamp_min_(0)
        inside = (hinge > 0).to(p.dtype)
        total += divergence.mul_(s).addcmul_(not_s, hinge).sum()
        gradient[right] = inside.mul_(not_s).sub_(s) @ p
    return total / pairs, gradient.div_(pairs)
