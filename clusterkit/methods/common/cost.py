"""What a method will take, said before it starts; tests/benchmarks/bench_methods.py has what it takes."""

import logging

from clusterkit.config import ClusterConfig, Method
from clusterkit.errors import UsageError
from clusterkit.methods.common.memory import memory
from clusterkit.methods.hdbscan import SMALLEST
from clusterkit.methods.lsc import LANDMARKS

log = logging.getLogger("clusterkit")

SQUARES = {
    Method.SPECTRAL: 5, Method.ITML: 12, Method.SKMS: 18, Method.SKKM: 16, Method.SKLR: 25, Method.CSP: 12,
    Method.MPCKMEANS: 7, Method.AGGLOMERATIVE: 6, Method.HDBSCAN: 7,
}  # fmt: skip
"""How many matrices of N x N float64, or of the sample's items, a method holds at its peak."""
ROWS = {Method.LPNMF: 12}
"""How many matrices of N x D float64 a method that uses values holds at its peak, where they are not 5."""
CUBES = {Method.ITML: 300, Method.SKMS: 400, Method.SKKM: 300, Method.SKLR: 300, Method.CSP: 40, Method.HDBSCAN: 1}
"""Multiplications of a method, in N^3."""
FEWEST = {Method.HDBSCAN: SMALLEST, Method.SKMS: 2}
"""Items that a method needs at least, where `--k` does not ask for more."""
SPEED = 2e10
"""Multiplications a second of a few cores."""
HOUR, GIB = 3600, 2**30


def check_cost(config: ClusterConfig, name: str, count: int, width: int, k: int) -> None:
    """Raise UsageError where a method needs more items, or more memory for N items of D values, than there is.

    Hours are warned of. Of `ccn`, which goes through the items in batches, nothing is said.
    """
    method = config.method
    if method is Method.CCN:
        return
    if count < FEWEST.get(method, 0):
        raise UsageError(f"--method {method}: {name} has fewer than {FEWEST[method]} items; use another method")
    items = count
    if method.samples_pairs and config.max_pairs is not None:
        items = min(count, int(config.max_pairs**0.5))
    needed = peak_bytes(method, count, items, width)
    there = memory()
    if there is not None and needed > there:
        less = "give --max-pairs or use" if method.samples_pairs else "use"
        raise UsageError(
            f"--method {method}: the {count} images of {name} need about {needed} bytes of memory "
            f"({needed / GIB:.1f} GiB), this machine (or its container) has {there}; {less} --method ccn"
        )
    seconds = multiplications(method, count, items, width, k) / SPEED
    if seconds > HOUR:
        log.warning(
            "--method %s: the %d images of %s take about %.0f hours", method, count, name, max(1, seconds / HOUR)
        )


def peak_bytes(method: Method, count: int, items: int, width: int) -> int:
    """Return about how many bytes a method holds at its peak for N items of D values, those of pairs among `items`."""
    rows = 0 if method.on_pairs_alone else ROWS.get(method, 5)
    needed = 8 * (SQUARES.get(method, 0) * items**2 + rows * count * width)
    return needed + (16 * count * LANDMARKS if method is Method.LSC else 0)


def multiplications(method: Method, count: int, items: int, width: int, k: int) -> float:
    """Return about how many a method takes for N items of D values, those of pairs among `items` of them."""
    by_pairs = CUBES.get(method, 0) * float(items) ** 3
    match method:
        case Method.KMEANS | Method.ITML:
            return by_pairs + 200.0 * count * k * width
        case Method.LSC:
            return 7.0 * count * LANDMARKS * width + 200.0 * count * k * k
        case Method.LPNMF:
            # Ten times as many as there are: those of sparse matrices are slower.
            return 4000.0 * count * k * width
        case Method.MPCKMEANS:
            return 10.0 * width * (2 * count * k + items**2) + 100.0 * items**2
        case Method.SPECTRAL:
            return 40.0 * count**2 * k
        case _:
            return by_pairs + float(width if not method.on_pairs_alone else 100) * count**2
