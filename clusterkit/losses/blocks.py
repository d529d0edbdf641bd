"""Tools for losses over all pairs of a batch that compute value and gradient together, one block of rows at a time.

No B x B matrix is stored, and a block stays in the cache while it is processed.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**20
"""Pairs held at once on a CPU: 4 MiB of float32."""
LARGE_BLOCK_ELEMENTS = 2**26
"""Pairs held at once on a GPU, which is fastest with few large operations."""


def row_blocks(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Yield slices of `rows` rows, each small enough to be held at once with all columns."""
    elements = BLOCK_ELEMENTS if device.type == "cpu" else LARGE_BLOCK_ELEMENTS
    size = max(1, elements // max(1, columns))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def transposed(similar: Tensor, rows: slice) -> Tensor:
    """Return the similarities of the pairs (j, i) of all j, one row for each i in `rows`.

    `similar` is (B, B), or one process's rows (b, B) of a symmetric matrix, in which both orders of a pair are equal.
    """
    return similar[:, rows].T if similar.shape[0] == similar.shape[1] else similar[rows]


def known_gradient(x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """Return `value` () with `gradient`, of the shape of `x`, as its gradient with respect to `x`."""
    result: Tensor = _Known.apply(x, value, gradient)
    return result


def known_gradients(first: Tensor, second: Tensor, value: Tensor, by_first: Tensor, by_second: Tensor) -> Tensor:
    """Return `value` () with a known gradient with respect to each of two tensors."""
    return known_gradient(first, value, by_first) + known_gradient(second, torch.zeros_like(value), by_second)


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer[0] * gradient, None, None
