"""A loss over all pairs of a batch whose value and gradient are found together, a block of rows at a time.

No B x B matrix is stored, and a block stays in cache while all that is to be done to it is done.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**20
"""How many pairs are held at once on a CPU: 4 MiB of float32."""
LARGE_BLOCK_ELEMENTS = 2**26
"""The same on a GPU, which wants few and large operations."""


def row_blocks(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Cut `rows` into slices of so many that a block of them and all columns can be held."""
    held = BLOCK_ELEMENTS if device.type == "cpu" else LARGE_BLOCK_ELEMENTS
    size = max(1, held // max(1, columns))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def transposed(similar: Tensor, rows: slice) -> Tensor:
    """Return what is believed of the pairs (j, i) of i in `rows` and all j, a row for each i.

    Of one process's rows (b, B) of a symmetric matrix, whose columns it does not have, that is the rows themselves.
    """
    return similar[:, rows].T if similar.shape[0] == similar.shape[1] else similar[rows]


def known_gradient(x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """Return `value` () such that the gradient that reaches `x` is `gradient`, of the shape of `x`."""
    result: Tensor = _Known.apply(x, value, gradient)
    return result


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer[0] * gradient, None, None
