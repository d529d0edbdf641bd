"""The symmetric logits of all pairs of a set, tile by tile, on all cores or the GPU."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit import console
from clusterkit.device import one_thread_each
from clusterkit.networks.pair_logits import pair_logits
from clusterkit.pairs.factored import FactoredPairs

SIZE = 512
"""Rows and columns of a tile. Their factors, 4 MiB at H = 512, stay in the cache."""
COLUMNS = 32
"""Columns that the compiled kernel handles at a time. Their factors, 128 KiB at H = 512, stay in the fastest cache."""
ROWS = 8
"""Rows that the compiled kernel handles in one loop, so that their sums do not wait for each other."""
COMPILE_FROM = 2**37
"""Hidden units, N^2 H, from which the compiled kernel saves the seconds that compiling takes."""
CONTRACTED: dict[str, Any] = {"cpp.enable_floating_point_contract_flag": "fast"}
"""Lets the compiler make one instruction of a product and a sum; some versions of torch have no such option."""
AHEAD = 2
"""Tiles that a core, or the GPU, may be ahead of the consumer, which bounds the memory."""

Place = tuple[slice, slice]
Tile = tuple[Place, Tensor]
Factors = tuple[Tensor, Tensor]
Kernel = Callable[[Factors, Factors, Tensor], Tensor]


def places(count: int) -> Iterator[Place]:
    """Yield rows and columns of the tiles on and above the diagonal of N x N, one row of tiles after another.

    A tile below the diagonal is the transpose of one above.
    """
    parts = [slice(start, min(start + SIZE, count)) for start in range(0, count, SIZE)]
    for number, rows in enumerate(parts):
        for columns in parts[number:]:
            yield rows, columns


def tiles(pairs: FactoredPairs, selection: Sequence[Place]) -> Iterator[Tile]:
    """Yield place and logits (R, C), on the CPU, of the tiles in `selection`, computed on the factors' device.

    The kernel, and with it the rounding, depends on the set alone and not on the number of selected tiles.
    """
    if not selection:
        return
    kernel = compiled(pairs) if len(pairs) ** 2 * pairs.u.shape[1] >= COMPILE_FROM else None
    if pairs.u.device.type != "cpu":
        yield from _ahead(kernel or eager, pairs, selection, 1)
    elif kernel is not None:
        for place in selection:
            yield _tile(kernel, pairs, place)
    else:
        with one_thread_each() as threads:
            yield from _ahead(eager, pairs, selection, threads)


def every_logit(pairs: FactoredPairs) -> Tensor:
    """Return the symmetric logits (N, N) of all pairs, in O(N^2) memory."""
    logits = torch.empty(len(pairs), len(pairs))
    for (rows, columns), tile in tiles(pairs, list(places(len(pairs)))):
        logits[rows, columns] = tile
        logits[columns, rows] = tile.T
    return logits


def _tile(kernel: Kernel, pairs: FactoredPairs, place: Place) -> Tile:
    left, right = ((pairs.u[part], pairs.v[part]) for part in place)
    return place, (kernel(left, right, pairs.weight) + pairs.bias).cpu()


def _ahead(kernel: Kernel, pairs: FactoredPairs, selection: Sequence[Place], threads: int) -> Iterator[Tile]:
    """Yield tiles in order while threads compute the next ones."""
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Tile]] = deque()
        try:
            for place in selection:
                running.append(pool.submit(_tile, kernel, pairs, place))
                if len(running) > AHEAD * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def eager(left: Factors, right: Factors, weight: Tensor) -> Tensor:
    """Return the mean logits (R, C) of both orders, without the bias, from the factors (u, v) of R and of C items."""
    zero = weight.new_zeros(())
    forth = pair_logits(left[0], right[1], weight, zero)
    back = pair_logits(right[0], left[1], weight, zero)
    return (forth + back.T) / 2


def fused(left: Factors, right: Factors, weight: Tensor) -> Tensor:
    """Return what `eager` returns for a full tile, in a form that a compiler turns into one loop without hidden units.

    All rows meet a few columns at a time, so that the columns' factors stay in a CPU's fastest cache. Several rows are
    computed in one loop, which loads these factors once for all of them.
    """
    width, rows = math.gcd(SIZE, COLUMNS), math.gcd(SIZE, ROWS)
    u, v = (x.view(SIZE // width, 1, width, -1) for x in right)
    sums = []
    for row in range(rows):
        of_u, of_v = (x.view(SIZE // rows, rows, -1)[:, row] for x in left)
        forth = (of_u[None, :, None] + v).relu()
        back = (of_v[None, :, None] + u).relu()
        sums.append(((forth + back) * weight).sum(3))
    return (torch.stack(sums, 2) / 2).permute(1, 2, 0, 3).reshape(SIZE, SIZE)


def at_once(left: Factors, right: Factors, weight: Tensor) -> Tensor:
    """Return what `eager` returns, in a form for the compiler of a GPU, which orders the pairs itself."""
    forth = (left[0][:, None] + right[1]).relu()
    back = (left[1][:, None] + right[0]).relu()
    return ((forth + back) * weight).sum(2) / 2


def compiled(pairs: FactoredPairs) -> Kernel | None:
    """Return the compiled kernel, which uses all cores itself, or None, with a log line, if compiling fails."""
    form = fused if pairs.u.device.type == "cpu" else at_once
    part, reason = (pairs.u[:SIZE], pairs.v[:SIZE]), ""
    for options in (CONTRACTED, None):
        try:
            kernel = _padding(torch.compile(form, dynamic=False, options=options))
            kernel(part, part, pairs.weight)
        except Exception as error:  # compilers raise errors of many types
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        else:
            return kernel
    console.once("predict-pairs: compiling its inner loop failed (%s), so it runs uncompiled, which is slower", reason)
    return None


def _padding(kernel: Kernel) -> Kernel:
    """Return a kernel that pads the last tiles, so that it is compiled for a single shape."""

    def padding_kernel(left: Factors, right: Factors, weight: Tensor) -> Tensor:
        return kernel(_padded(left), _padded(right), weight)[: len(left[0]), : len(right[0])]

    return padding_kernel


def _padded(factors: Factors) -> Factors:
    u, v = (F.pad(x, (0, 0, 0, SIZE - len(x))) for x in factors)
    return u, v
