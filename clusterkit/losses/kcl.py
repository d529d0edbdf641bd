"""The contrastive loss on the Kullback-Leibler divergence of two cluster assignments."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.blocks import known_gradient, row_blocks, transposed

LOWEST = -1e30
"""Below any logarithm of a probability that a gradient could still change; with -inf, 0 log 0 would be no number."""


def kcl(logits: Tensor, similar: Tensor, sigma: float = 2.0) -> Tensor:
    """Return KCL, also called LCO, averaged over all ordered pairs (Hsu et al. 2018, L2C, equations 1 to 6).

    `logits` (B, K) are a network's outputs before the softmax, of any floating type; `similar` (B, B) is 1 for a
    similar pair, 0 for a dissimilar one, or a probability in between; pairs that are NaN add nothing to the loss, whose
    mean is over all pairs all the same. `sigma` is the margin that dissimilar pairs are pushed to. In each divergence
    D(P*||Q) the left side is a constant, as the star says: no gradient flows through it. Equation 6 sums both
    directions of an unordered pair; here each direction is one ordered pair.

    D(P_i||P_j) = sum_k P_ik log P_ik - P_i . log P_j, so all of them are one B x K x B matrix product, of which a
    block of columns is held at a time.

    On several processes `logits` (b, K) and `similar` (b, B), which must then be symmetric, are this one's rows of
    the batch. Its part of the mean is that of the pairs whose right side it has; the gradient is the whole loss's.
    """
    log_p = torch.log_softmax(logits.float(), dim=1)
    own = log_p.detach().clamp_min(LOWEST)
    return known_gradient(log_p, *_value_and_gradient(own, gather_rows(own), similar, sigma))


def _value_and_gradient(log_q: Tensor, log_p: Tensor, similar: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return the loss () of the pairs of all `log_p` (B, K) with `log_q` (b, K), and its gradient (b, K) by `log_q`."""
    p = log_p.exp()
    negative_entropy = (p * log_p).sum(1)
    pairs = len(p) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    gradient = torch.empty_like(log_q)
    for right in row_blocks(len(log_q), len(p), p.device):
        # Row j of a block holds the pairs (i, j) of all i.
        s = transposed(similar, right).to(p.dtype)
        unknown = s.isnan()
        divergence = torch.addmm(negative_entropy, log_q[right], p.T, alpha=-1)
        not_s = 1 - s
        hinge = (sigma - divergence).clamp_min_(0)
        inside = (hinge > 0).to(p.dtype)
        total += divergence.mul_(s).addcmul_(not_s, hinge).masked_fill_(unknown, 0).sum()
        gradient[right] = inside.mul_(not_s).sub_(s).masked_fill_(unknown, 0) @ p
    return total / pairs, gradient.div_(pairs)
