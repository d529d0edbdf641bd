"""The most hidden units of pairs that a GPU can compute."""

import torch
import triton
import triton.language as tl

BLOCKS, THREADS, EACH, ROUNDS = 16, 8, 8, 4096
"""Blocks for each processor, threads side by side in each, rows and columns of a thread, rounds of the loop.

On an H200, 16 threads side by side, or 4 rows, reach two thirds of what these do.
"""


@triton.jit
def _units(out, weight, rounds, each: tl.constexpr, threads: tl.constexpr):
    number = (tl.arange(0, each)[:, None] * threads + tl.arange(0, threads)[None]).to(tl.float32)
    u, v, factor = number[:, None, :, None], -number[None, :, None, :], tl.load(weight)
    total = tl.zeros((each, each, threads, threads), tl.float32)
    for _ in range(rounds):
        total += tl.maximum(u + v, 0.0) * factor
        v += factor
    tl.store(out + tl.program_id(0), tl.sum(tl.reshape(total, (each * each * threads * threads,)), 0))


def blocks() -> int:
    return BLOCKS * torch.cuda.get_device_properties(0).multi_processor_count


def units() -> float:
    """Hidden units that `work` adds, rectifies, weights and sums."""
    return float(blocks() * ROUNDS * (EACH * THREADS) ** 2)


def work() -> None:
    out, weight = torch.empty(blocks(), device="cuda"), torch.full((1,), 0.01, device="cuda")
    _units[(blocks(),)](out, weight, ROUNDS, EACH, THREADS, num_warps=THREADS**2 // 32)
