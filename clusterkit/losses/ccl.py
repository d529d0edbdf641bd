"""The constrained clustering likelihood, later named meta classification likelihood."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.blocks import known_gradient, row_blocks, transposed

EPSILON = 1e-7


def ccl(logits: Tensor, similar: Tensor) -> Tensor:
    """Return CCL, the mean negative log-likelihood of all ordered pairs (Hsu et al. 2018, equations 1 to 3).

    `logits` (B, K) are a network's outputs before the softmax, of any floating type; `similar` (B, B) is 1 for a
    similar pair, 0 for a dissimilar one, or a probability in between; pairs that are NaN add nothing to the loss,
    whose mean is over all pairs all the same. The probability that a pair shares a cluster
    is the inner product of its two distributions, so all of them are one B x K x B matrix product, of which a block
    of rows is held at a time.

    On several processes `logits` (b, K) and `similar` (b, B), which must then be symmetric, are this one's rows of
    the batch, and so is its part of the mean; the gradient is that of the whole loss.
    """
    p = torch.softmax(logits.float(), dim=1)
    return known_gradient(p, *_value_and_gradient(p.detach(), gather_rows(p.detach()), similar))


def _value_and_gradient(p: Tensor, every: Tensor, similar: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss () of the pairs of `p` (b, K) with `every` (B, K), and the whole loss's gradient (b, K) by `p`.

    With g_ij the derivative of the loss of the ordered pair (i, j) by P_i . P_j, that of the mean by P_i is the sum
    over j of (g_ij + g_ji) P_j. As g is linear in `similar`, its symmetric part takes the place of both terms.
    """
    pairs = len(every) ** 2
    total = torch.zeros((), dtype=p.dtype, device=p.device)
    gradient = torch.empty_like(p)
    for rows in row_blocks(len(p), len(every), p.device):
        s = torch.add(similar[rows].to(p.dtype), transposed(similar, rows).to(p.dtype)).div_(2)
        unknown = s.isnan()
        near = p[rows] @ every.T
        far = 1 - near
        # Rounding can take an inner product of two distributions a little over 1, where 1 / far would tear them apart.
        over = far < 0
        far.clamp_min_(0).add_(EPSILON)
        near.add_(EPSILON)
        not_s = 1 - s
        total -= near.log().mul_(s).addcmul_(far.log(), not_s).masked_fill_(unknown, 0).sum()
        slope = not_s.div_(far).masked_fill_(over, 0).sub_(s.div_(near)).masked_fill_(unknown, 0)
        gradient[rows] = slope @ every
    return total / pairs, gradient.mul_(2 / pairs)
