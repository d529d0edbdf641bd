"""The contrastive loss on the Kullback-Leibler divergence of two cluster assignments."""

import torch
from torch import Tensor


def kcl(logits: Tensor, similar: Tensor, sigma: float = 2.0) -> Tensor:
    """Return KCL, also called LCO, averaged over all ordered pairs (Hsu et al. 2018, L2C, equations 1 to 6).

    `logits` (B, K) are a network's outputs before the softmax; `similar` (B, B) is 1 for a similar pair, 0 for a
    dissimilar one, or a probability in between; `sigma` is the margin that dissimilar pairs are pushed to. In each
    divergence D(P*||Q) the left side is a constant, as the star says: no gradient flows through it. Equation 6 sums
    both directions of an unordered pair; here each direction is one ordered pair.

    D(P_i||P_j) = sum_k P_ik log P_ik - P_i . log P_j, so all of them are one B x K x B matrix product.
    """
    log_p = torch.log_softmax(logits.float(), dim=1)
    fixed = log_p.detach()
    p = fixed.exp()
    divergence = (p * fixed).sum(1, keepdim=True) - p @ log_p.T
    return (similar * divergence + (1 - similar) * (sigma - divergence).clamp_min(0)).mean()
