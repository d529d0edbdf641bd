"""The hidden layer and the output of the pair head on all pairs, without storing all B x B x H hidden units."""

import functools
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.errors import is_out_of_memory

BLOCK_ELEMENTS = 2**19
"""Hidden units held at once on a CPU: 2 MiB of float32, which stay in the cache."""
LARGE_BLOCK_ELEMENTS = 2**26
"""Hidden units held at once on a GPU without kernels of its own, which is fastest with few large operations."""


def pair_logits(u: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return relu(u_i + v_j) . weight + bias for all i and j: (R, C) from u (R, H), v (C, H), weight (H,), bias ().

    As relu(a + b) = max(a, -b) + b, only max(u_i, -v_j) . weight is computed for each pair. Memory holds one block of
    hidden units at a time, or none if `kernels_for` has kernels, and the gradient computes them again.
    """
    result: Tensor = _PairLogits.apply(u, v, weight)
    return result + bias


class _PairLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(u, v, weight)
        kernels = kernels_for(u, v)
        if kernels is not None:
            with torch.cuda.device_of(u):
                maxima = kernels.weighted_maxima(kernels.by_unit(u), kernels.by_unit(-v), weight)
            logits: Tensor = maxima[: len(u), : len(v)] + v @ weight
            return logits
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
        of_u, of_v = _active_sums(u, v, g)
        return of_u * weight, of_v * weight, (u * of_u).sum(0) + (v * of_v).sum(0)


def _active_sums(u: Tensor, v: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_j g_ij m_ijh (R, H) and sum_i g_ij m_ijh (C, H)."""
    kernels = kernels_for(u, v)
    if kernels is not None:
        with torch.cuda.device_of(u):
            return kernels.active_sums(u, -v, g), kernels.active_sums(v, -u, g.T)
    of_u, of_v = torch.zeros_like(u), torch.zeros_like(v)
    negative = -v
    for rows, columns in _blocks(u, v):
        part = g[rows, columns]
        active = torch.gt(u[rows, None], negative[None, columns]).to(u.dtype)
        of_u[rows] += torch.bmm(part[:, None], active)[:, 0]
        of_v[columns] += active.mul_(part[..., None]).sum(0)
    return of_u, of_v


def kernels_for(*factors: Tensor) -> ModuleType | None:
    """Return `pair_kernels` if it can compute with these tensors, and None otherwise."""
    fit = all(x.is_cuda and x.dtype == torch.float32 and x.numel() > 0 for x in factors)
    return _kernels(factors[0].device) if fit else None


@functools.cache
def _kernels(device: torch.device) -> ModuleType | None:
    """Return `pair_kernels` if each of its kernels gives what it should on a device; else None, with a log line."""
    try:
        from clusterkit.networks import pair_kernels

        with torch.cuda.device(device):
            _check(pair_kernels, device)
    except Exception as error:  # Triton may be missing, and compilers raise errors of many types
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        console.once("pair head: its kernels do not run here (%s), so it takes longer and more memory", reason)
        return None
    return pair_kernels


def _check(kernels: ModuleType, device: torch.device) -> None:
    """Raise an error if a kernel does not run or gives other numbers than PyTorch."""
    x, other = torch.linspace(-1, 1, 32, device=device).view(4, 8).split(2)
    left, right, weight = kernels.by_unit(x), kernels.by_unit(other), x[0]
    # No products of matrices, which may be rounded to TF32.
    maxima = kernels.weighted_maxima(left, right, weight)[:2, :2]
    torch.testing.assert_close(maxima, (torch.maximum(x[:, None], other) * weight).sum(2))
    sums = kernels.absolute_sums((left, right), (left, right), weight)[:2, :2]
    both = ((x[:, None] + other).abs() * weight).sum(2)
    torch.testing.assert_close(sums, both + both.T)
    sums = kernels.active_sums(x, other, x[:, :2])
    torch.testing.assert_close(sums, (x[:, :2, None] * (x[:, None] > other)).sum(1))


def _blocks(u: Tensor, v: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of blocks of pairs whose hidden units can be held at once."""
    pairs = (BLOCK_ELEMENTS if u.device.type == "cpu" else LARGE_BLOCK_ELEMENTS) // max(1, u.shape[1])
    width = max(1, min(len(v), pairs))
    height = max(1, pairs // width)
    for row in range(0, len(u), height):
        for column in range(0, len(v), width):
            yield slice(row, row + height), slice(column, column + width)
