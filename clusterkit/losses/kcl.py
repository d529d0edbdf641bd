"""KCL, the contrastive loss on the Kullback-Leibler divergence of two cluster assignments."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.blocks import known_gradient, row_blocks, transposed

LOWEST = -1e30
"""Lower limit of log-probabilities, far below any that affects a gradient. With -inf, 0 log 0 would be NaN."""


def kcl(logits: Tensor, similar: Tensor, sigma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """Return KCL, also called LCO, averaged over all ordered pairs (Hsu et al. 2018, L2C, equations 1 to 6).

    `logits` (B, K) are a network's outputs before the softmax, of any floating type. `similar` (B, B) is 1 for a
    similar pair, 0 for a dissimilar pair, or a probability. A NaN pair adds nothing to the sum but counts in the mean.
    Dissimilar pairs are pushed to a divergence of `sigma`. No gradient flows through P in a divergence D(P*||Q), as the
    star says. Equation 6 sums both directions of an unordered pair; here each direction is one ordered pair. `weight`
    (B, B), symmetric, multiplies the terms of the pairs.

    D(P_i||P_j) = sum_k P_ik log P_ik - P_i . log P_j, so all divergences are one B x K x B matrix product, computed in
    blocks of columns.

    With several processes, `logits` (b, K), `similar` (b, B) and `weight` (b, B) are this process's rows of the batch,
    and `similar` must be symmetric. The value is the part of the mean from the pairs whose right side this process
    holds; the gradient is that of the whole loss.
    """
    log_p = torch.log_softmax(logits.float(), dim=1)
    log_q = log_p.detach().clamp_min(LOWEST)
    return known_gradient(log_p, *_value_and_gradient(log_q, gather_rows(log_q), similar, sigma, weight))


def _value_and_gradient(
    log_q: Tensor, log_p: Tensor, similar: Tensor, sigma: float, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the loss () of the pairs of all `log_p` (B, K) with `log_q` (b, K), and its gradient (b, K) by `log_q`."""
    p = log_p.exp()
    negative_entropy = (p * log_p).sum(1)
    pairs = len(p) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    gradient = torch.empty_like(log_q)
    for right in row_blocks(len(log_q), len(p), p.device):
        # Row j of `s` holds the pairs (i, j) of all i.
        s = transposed(similar, right).to(p.dtype)
        unknown = s.isnan()
        divergence = torch.addmm(negative_entropy, log_q[right], p.T, alpha=-1)
        dissimilar = 1 - s
        hinge = (sigma - divergence).clamp_min_(0)
        active = (hinge > 0).to(p.dtype)
        terms = divergence.mul_(s).addcmul_(dissimilar, hinge).masked_fill_(unknown, 0)
        slope = active.mul_(dissimilar).sub_(s).masked_fill_(unknown, 0)
        if weight is not None:
            of_pair = transposed(weight, right).to(p.dtype)
            terms.mul_(of_pair)
            slope.mul_(of_pair)
        total += terms.sum()
        gradient[right] = slope @ p
    return total / pairs, gradient.div_(pairs)
