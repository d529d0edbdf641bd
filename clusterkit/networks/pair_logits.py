"""The hidden layer and the output of the pair head on all pairs, without storing all B x B x H hidden units."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**19
"""Hidden units held at once on a CPU: 2 MiB of float32, which stay in the cache."""
LARGE_BLOCK_ELEMENTS = 2**26
"""Hidden units held at once on a GPU, which is fastest with few large operations."""


def pair_logits(u: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return relu(u_i + v_j) . weight + bias for all i and j: (R, C) from u (R, H), v (C, H), weight (H,), bias ().

    As relu(a + b) = max(a, -b) + b, only max(u_i, -v_j) . weight is computed for each pair. Memory holds one block of
    hidden units at a time, and the gradient computes each block again.
    """
    result: Tensor = _PairLogits.apply(u, v, weight)
    return result + bias


class _PairLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(u, v, weight)
        out = torch.empty(len(u), len(v), dtype=u.dtype, device=u.device)
        negative = -v
        for rows, columns in _blocks(u, v):
            out[rows, columns] = torch.maximum(u[rows, None], negative[None, columns]) @ weight
        return out.add_(v @ weight)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients, which follow from the sums over j and over i of g_ij m_ijh.

        m_ijh is 1 where u_ih + v_jh > 0, and g is the incoming gradient.
        """
        u, v, weight = ctx.saved_tensors
        [g] = outer
        of_u, of_v = torch.zeros_like(u), torch.zeros_like(v)
        negative = -v
        for rows, columns in _blocks(u, v):
            part = g[rows, columns]
            active = torch.gt(u[rows, None], negative[None, columns]).to(u.dtype)
            of_u[rows] += torch.bmm(part[:, None], active)[:, 0]
            of_v[columns] += active.mul_(part[..., None]).sum(0)
        return of_u * weight, of_v * weight, (u * of_u).sum(0) + (v * of_v).sum(0)


def _blocks(u: Tensor, v: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of blocks of pairs whose hidden units can be held at once."""
    pairs = (BLOCK_ELEMENTS if u.device.type == "cpu" else LARGE_BLOCK_ELEMENTS) // max(1, u.shape[1])
    width = max(1, min(len(v), pairs))
    height = max(1, pairs // width)
    for row in range(0, len(u), height):
        for column in range(0, len(v), width):
            yield slice(row, row + height), slice(column, column + width)
