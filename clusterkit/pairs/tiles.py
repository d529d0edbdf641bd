"""The symmetric logits of all pairs of a set, tile by tile, on all cores or the GPU."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit import console
from clusterkit.device import one_thread_each
from clusterkit.networks.pair_logits import kernels_for, pair_logits
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
"""Tiles that a core, or strips that a stream of a GPU, may be ahead of the consumer, which bounds the memory."""
WIDE = 32
"""Tiles of a strip, which a GPU computes at a time, at most: 32 MiB, of which torch keeps a few as pinned memory."""
STREAMS = 2
"""Streams of work for a GPU, so that it computes one strip while it hands over another."""

Part = TypeVar("Part")
Result = TypeVar("Result")
Place = tuple[slice, slice]
Tile = tuple[Place, Tensor]
Change = Callable[[Tensor], Tensor]
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


def tiles(pairs: FactoredPairs, selection: Sequence[Place], change: Change = Tensor.contiguous) -> Iterator[Tile]:
    """Yield place and logits (R, C), on the CPU, of the tiles in `selection`, computed on the factors' device.

    `change` is applied to logits of any shape there. The kernel, and with it the rounding, depends on the set alone and
    not on the number of selected tiles. Tiles from a GPU are parts of strips: one that is kept keeps its strip.
    """
    if not selection:
        return
    kernels = kernels_for(pairs.u, pairs.v)
    if kernels is not None:
        yield from _by_strips(kernels, pairs, selection, change)
        return
    kernel: Kernel = eager
    if pairs.u.device.type == "cpu" and len(pairs) ** 2 * pairs.u.shape[1] >= COMPILE_FROM:
        kernel = compiled(pairs) or eager

    def compute(place: Place) -> Tile:
        left, right = ((pairs.u[part], pairs.v[part]) for part in place)
        return place, change(kernel(left, right, pairs.weight) + pairs.bias).cpu()

    if pairs.u.device.type != "cpu":
        yield from _ahead(compute, selection, 1)
    elif kernel is not eager:
        yield from map(compute, selection)
    else:
        with one_thread_each() as threads:
            yield from _ahead(compute, selection, threads)


def every_logit(pairs: FactoredPairs) -> Tensor:
    """Return the symmetric logits (N, N) of all pairs, in O(N^2) memory."""
    logits = torch.empty(len(pairs), len(pairs))
    for (rows, columns), tile in tiles(pairs, list(places(len(pairs)))):
        logits[rows, columns] = tile
        logits[columns, rows] = tile.T
    return logits


def _ahead(compute: Callable[[Part], Result], parts: Iterable[Part], threads: int) -> Iterator[Result]:
    """Yield results in order while threads compute the next ones."""
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for part in parts:
                running.append(pool.submit(compute, part))
                if len(running) > AHEAD * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _by_strips(kernels: ModuleType, pairs: FactoredPairs, selection: Sequence[Place], change: Change) -> Iterator[Tile]:
    """Yield what `tiles` yields; a GPU computes neighbouring tiles of a row at a time."""
    of_both = mean_logits(kernels, pairs)
    device = pairs.u.device
    torch.cuda.synchronize(device)
    streams = [torch.cuda.Stream(device) for _ in range(STREAMS)]

    def compute(part: tuple[int, list[Place]]) -> list[Tile]:
        number, strip = part
        rows, columns = strip[0][0], slice(strip[0][1].start, strip[-1][1].stop)
        stream = streams[number % STREAMS]
        with torch.cuda.stream(stream):
            logits = _to_cpu(change(of_both(rows, columns)))
        stream.synchronize()
        return [(place, logits[:, place[1].start - columns.start : place[1].stop - columns.start]) for place in strip]

    for strip in _ahead(compute, enumerate(strips(selection)), STREAMS):
        yield from strip


def _to_cpu(x: Tensor) -> Tensor:
    """Return a copy on the CPU, which is complete once the current stream of the GPU is."""
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)


def mean_logits(kernels: ModuleType, pairs: FactoredPairs) -> Callable[[slice, slice], Tensor]:
    """Return a function from rows and columns, which begin at a tile, to their symmetric logits (R, C).

    As 2 relu(x) = x + |x|, the mean logit of both orders is one sum of absolute values over the hidden units, plus a
    number for each item. The device holds another copy of the factors.
    """
    u, v = (kernels.by_unit(x) for x in (pairs.u, pairs.v))
    weight = pairs.weight / 4
    of_item = F.pad((pairs.u + pairs.v) @ weight + pairs.bias / 2, (0, u.shape[1] - len(pairs)))

    def logits(rows: slice, columns: slice) -> Tensor:
        # The kernel takes whole tiles, which may end beyond the last item.
        down, across = (slice(x.start, x.start + SIZE * math.ceil((x.stop - x.start) / SIZE)) for x in (rows, columns))
        sums: Tensor = kernels.absolute_sums((u[:, down], v[:, down]), (u[:, across], v[:, across]), weight)
        sums = sums + (of_item[down, None] + of_item[across])
        return sums[: rows.stop - rows.start, : columns.stop - columns.start]

    return logits


def strips(selection: Sequence[Place]) -> Iterator[list[Place]]:
    """Yield the places of tiles by strips: neighbours in one row, not more than `WIDE`."""
    strip: list[Place] = []
    for place in selection:
        if strip and (len(strip) == WIDE or strip[-1][0] != place[0] or strip[-1][1].stop != place[1].start):
            yield strip
            strip = []
        strip.append(place)
    if strip:
        yield strip


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


def compiled(pairs: FactoredPairs) -> Kernel | None:
    """Return the compiled kernel, which uses all cores itself, or None, with a log line, if compiling fails."""
    part, reason = (pairs.u[:SIZE], pairs.v[:SIZE]), ""
    for options in (CONTRACTED, None):
        try:
            kernel = _padding(torch.compile(fused, dynamic=False, options=options))
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
