"""The hidden layer of the pair head on a GPU, by kernels that keep no hidden unit in memory.

Each block of threads computes one tile of a result and keeps its sums in registers. Sums run in a fixed order, so the
same inputs give the same bytes.
"""

import math

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

Factors = tuple[Tensor, Tensor]

EACH, THREADS = 8, 8
"""A tile of logits: the rows, and as many columns, of each thread, and how many threads have rows side by side."""
SIDE = EACH * THREADS
"""Rows and columns of a tile of logits."""
STAGES = 3
"""Hidden units whose factors are on their way from memory at a time."""
BUSY = 512
"""Blocks of threads that keep a GPU busy. If there are fewer tiles, several blocks share the hidden units of each."""
FEWEST = 16
"""The fewest hidden units of a block that shares them."""
ROWS, UNITS = (4, 4), (4, 32)
"""Tiles of sums: rows of each thread and threads side by side, and the same of hidden units."""


def by_unit(x: Tensor) -> Tensor:
    """Return factors (N, H) as (H, N'), with zeros for items from N on, so that N' is a multiple of `SIDE`."""
    return F.pad(x.T, (0, -len(x) % SIDE)).contiguous()


def weighted_maxima(u: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """Return sum_h max(u_hi, negative_hj) weight_h: (R, C) from u (H, R), negative (H, C) and weight (H,), all float32.

    R and C are multiples of `SIDE`.
    """
    (hidden, rows), columns = u.shape, negative.shape[1]
    down, across = rows // SIDE, columns // SIDE
    share = triton.cdiv(hidden, max(1, min(BUSY // (down * across), hidden // FEWEST)))
    out = u.new_empty(triton.cdiv(hidden, share), rows, columns)
    _weighted_maxima[(across, down, len(out))](
        u, negative, weight.contiguous(), out, rows, columns, u.stride(0), negative.stride(0), hidden, share,
        EACH, THREADS, STAGES, num_warps=THREADS**2 // 32,
    )  # fmt: skip
    return out[0] if len(out) == 1 else out.sum(0)


def absolute_sums(left: Factors, right: Factors, weight: Tensor) -> Tensor:
    """Return sum_h (|u_hi + v_hj| + |v_hi + u_hj|) weight_h: (R, C), float32.

    `left` is u and v (H, R), `right` is u and v (H, C); these may be parts of longer rows, and R and C are multiples of
    `SIDE`. A GPU adds absolute values faster than it takes the larger of two numbers. The result is symmetric in both
    items, and its rounding does not depend on R and C.
    """
    (hidden, rows), columns = left[0].shape, right[0].shape[1]
    out = weight.new_empty(rows, columns)
    _absolute_sums[(columns // SIDE, rows // SIDE)](
        *left, *right, weight.contiguous(), out, columns, left[0].stride(0), right[0].stride(0), hidden,
        EACH, THREADS, STAGES, num_warps=THREADS**2 // 32,
    )  # fmt: skip
    return out


def active_sums(x: Tensor, negative: Tensor, g: Tensor) -> Tensor:
    """Return sum_j g_ij [x_ih > negative_jh]: (R, H) from x (R, H), negative (C, H) and g (R, C), all float32."""
    (rows, hidden), columns = x.shape, len(negative)
    x, negative, out = x.contiguous(), negative.contiguous(), x.new_empty(rows, hidden)
    down, across = triton.cdiv(rows, math.prod(ROWS)), triton.cdiv(hidden, math.prod(UNITS))
    _active_sums[(across, down)](
        x, negative, g, out, rows, columns, hidden, *g.stride(), *ROWS, *UNITS, num_warps=ROWS[1] * UNITS[1] // 32
    )
    return out


@triton.jit
def _numbers(each: tl.constexpr, threads: tl.constexpr):
    return tl.arange(0, each)[:, None] * threads + tl.arange(0, threads)[None]


@triton.jit
def _weighted_maxima(
    u, negative, weight, out, rows, columns, u_stride, negative_stride, hidden, units,
    each: tl.constexpr, threads: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    # A tensor of four dimensions, of which the compiler shares the last two out among threads: each thread reads
    # 2 `each` factors for `each`^2 hidden units.
    row = tl.program_id(1) * each * threads + _numbers(each, threads)
    column = tl.program_id(0) * each * threads + _numbers(each, threads)
    share = tl.program_id(2)
    start = share * units
    of_row = u + tl.cast(start, tl.int64) * u_stride + row
    of_column = negative + tl.cast(start, tl.int64) * negative_stride + column
    total = tl.zeros((each, each, threads, threads), tl.float32)
    for h in tl.range(start, min(start + units, hidden), num_stages=stages):
        a, b = tl.load(of_row)[:, None, :, None], tl.load(of_column)[None, :, None, :]
        total += tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL) * tl.load(weight + h)
        of_row += u_stride
        of_column += negative_stride
    place = (share * rows + row).to(tl.int64) * columns
    tl.store(out + place[:, None, :, None] + column[None, :, None, :], total)


@triton.jit
def _absolute_sums(
    u, v, other_u, other_v, weight, out, columns, stride, other_stride, hidden,
    each: tl.constexpr, threads: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1) * each * threads + _numbers(each, threads)
    column = tl.program_id(0) * each * threads + _numbers(each, threads)
    u, v, other_u, other_v = u + row, v + row, other_u + column, other_v + column
    total = tl.zeros((each, each, threads, threads), tl.float32)
    for h in tl.range(0, hidden, num_stages=stages):
        forth = tl.abs(tl.load(u)[:, None, :, None] + tl.load(other_v)[None, :, None, :])
        back = tl.abs(tl.load(v)[:, None, :, None] + tl.load(other_u)[None, :, None, :])
        total += (forth + back) * tl.load(weight + h)
        u, v, other_u, other_v = u + stride, v + stride, other_u + other_stride, other_v + other_stride
    place = row.to(tl.int64) * columns
    tl.store(out + place[:, None, :, None] + column[None, :, None, :], total)


@triton.jit
def _active_sums(
    x, negative, g, out, rows, columns, hidden, row_stride, column_stride, rows_each: tl.constexpr,
    row_threads: tl.constexpr, units_each: tl.constexpr, unit_threads: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(1) * rows_each * row_threads + _numbers(rows_each, row_threads)
    unit = tl.program_id(0) * units_each * unit_threads + _numbers(units_each, unit_threads)
    is_row, is_unit = row < rows, unit < hidden
    inside = is_row[:, None, :, None] & is_unit[None, :, None, :]
    place = row.to(tl.int64)[:, None, :, None] * hidden + unit[None, :, None, :]
    own = tl.load(x + place, inside, 0.0)
    total = tl.zeros((rows_each, units_each, row_threads, unit_threads), tl.float32)
    of_column, outer = negative + unit, g + row.to(tl.int64) * row_stride
    for _ in range(columns):
        other = tl.load(of_column, is_unit, 0.0)[None, :, None, :]
        total += tl.where(own > other, tl.load(outer, is_row, 0.0)[:, None, :, None], 0.0)
        of_column += hidden
        outer += column_stride
    tl.store(out + place, total, inside)
