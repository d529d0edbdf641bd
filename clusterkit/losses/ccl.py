"""CCL, the constrained clustering likelihood, later named meta classification likelihood (MCL)."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.blocks import known_gradient, row_blocks, transposed

EPSILON = 1e-7


def ccl(logits: Tensor, similar: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return CCL, the mean negative log-likelihood of all ordered pairs (Hsu et al. 2018, CCL, equations 1 to 3).

    `logits` (B, K) are a network's outputs before the softmax, of any floating type. `similar` (B, B) is 1 for a
    similar pair, 0 for a dissimilar pair, or a probability. A NaN pair adds nothing to the sum but counts in the mean.
    `weight` (B, B), symmetric, multiplies the terms of the pairs.

    The probability that a pair shares a cluster is the inner product of its two distributions. All of them are one B x
    K x B matrix product, computed in blocks of rows.

    With several processes, `logits` (b, K), `similar` (b, B) and `weight` (b, B) are this process's rows of the batch,
    and `similar` must be symmetric. The value is this process's part of the mean; the gradient is that of the whole
    loss.
    """
    p = torch.softmax(logits.float(), dim=1)
    return known_gradient(p, *_value_and_gradient(p.detach(), gather_rows(p.detach()), similar, weight))


def _value_and_gradient(p: Tensor, all_p: Tensor, similar: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the loss () of the pairs of `p` (b, K) with `all_p` (B, K), and the whole loss's gradient (b, K) by `p`.

    Let g_ij be the derivative of the loss of the ordered pair (i, j) by P_i . P_j. The derivative of the sum over all
    pairs by P_i is the sum over j of (g_ij + g_ji) P_j. As g is linear in `similar`, g_ij + g_ji is twice the g of the
    symmetric part of `similar`.
    """
    pairs = len(all_p) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    gradient = torch.empty_like(p)
    for rows in row_blocks(len(p), len(all_p), p.device):
        s = torch.add(similar[rows].to(p.dtype), transposed(similar, rows).to(p.dtype)).div_(2)
        unknown = s.isnan()
        same = p[rows] @ all_p.T
        different = 1 - same
        # Rounding can lift an inner product of two distributions above 1, where 1 / different would be a huge slope.
        above_one = different < 0
        different.clamp_min_(0).add_(EPSILON)
        same.add_(EPSILON)
        dissimilar = 1 - s
        terms = same.log().mul_(s).addcmul_(different.log(), dissimilar).masked_fill_(unknown, 0)
        slope = dissimilar.div_(different).masked_fill_(above_one, 0).sub_(s.div_(same)).masked_fill_(unknown, 0)
        if weight is not None:
            terms.mul_(weight[rows])
            slope.mul_(weight[rows])
        total -= terms.sum()
        gradient[rows] = slope @ all_p
    return total / pairs, gradient.mul_(2 / pairs)
