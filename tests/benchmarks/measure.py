"""How times, memory and the machine's limit are taken, the same for every benchmark."""

import ctypes
import gc
import math
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from pytest_benchmark.fixture import BenchmarkFixture

REPEATS = 5
ROUNDS = 10**6
"""Rounds of the loop that measures the limit: some tenths of a second."""
SPAN = 0.05
"""Seconds that a timing lasts at least: a short function is called several times in it. The table of pytest-benchmark
has the times of all these calls together."""
# The suite uses one thread.
torch.set_num_threads(os.cpu_count() or 1)
MIB = 2**20

LIMIT = """
typedef float vec __attribute__((vector_size(WIDTH)));
enum { LANES = WIDTH / sizeof(float), ROWS = 8 };
/* Hidden units of pairs of one u and eight v: an addition, a maximum and a multiply-add each, all data in the cache. */
extern "C" float run(long rounds, long hidden, const float *u, const float *v, const float *w) {
    vec sum[ROWS] = {};
    for (long round = 0; round < rounds; round++) {
        for (long h = 0; h < hidden; h += LANES) {
            vec a = *(const vec *)(u + h), weight = *(const vec *)(w + h);
            for (int row = 0; row < ROWS; row++) {
                vec t = a + *(const vec *)(v + row * hidden + h);
                t = t > 0 ? t : vec{};
                sum[row] += t * weight;
            }
        }
    }
    float total = 0;
    for (int row = 0; row < ROWS; row++) for (int lane = 0; lane < LANES; lane++) total += sum[row][lane];
    return total;
}
"""


def compare(
    benchmark: BenchmarkFixture,
    title: str,
    ours: Callable[[], object],
    obvious: Callable[[], object],
    scale: float = 1,
    work: "Work | None" = None,
) -> tuple[float, float]:
    """Time both in turn, print the medians, their ratio and the share of the machine's limit; return the medians.

    `scale` is by how much the work of `obvious` falls short of that of `ours`, where the whole would not fit; `work`
    is the arithmetic that `ours` cannot do without.
    """
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    times: list[float] = []

    def seconds(function: Callable[[], object], calls: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        wait()
        return time.perf_counter() - start

    def enough(function: Callable[[], object]) -> int:
        """Return how many calls fill SPAN, so that one that waits for a thread hardly counts, after a first call."""
        seconds(function)
        return math.ceil(SPAN / seconds(function))

    calls, other_calls = enough(ours), enough(obvious)
    benchmark.pedantic(
        lambda: seconds(ours, calls), setup=lambda: times.append(seconds(obvious, other_calls)), rounds=REPEATS
    )
    mine, other = benchmark.stats.stats.median / calls, statistics.median(times) / other_calls * scale
    memory, other_memory = peak(ours), peak(obvious)
    note = f" (extrapolated by {scale:.0f})" if scale != 1 else ""
    benchmark.extra_info.update(calls=calls, ratio=other / mine, obvious=other, peak=memory, obvious_peak=other_memory)
    share = "" if work is None else f"; {work.least() / mine:.2f} of the limit"
    print(
        f"\n{title}: {mine * 1e3:.2f} ms against {other * 1e3:.2f} ms{note}, ratio {other / mine:.1f}; "
        f"peak {memory / MIB:.1f} MiB against {other_memory / MIB:.1f} MiB{share}"
    )
    return mine, other


def peak(function: Callable[[], object]) -> int:
    """Return how many bytes the process grew by, at most, during a call: its resident set, or CUDA's memory."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    # What the allocator keeps of earlier calls would hide what this one needs.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    function()
    return max(0, resident("VmHWM") - before)


def resident(name: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


@dataclass(frozen=True)
class Work:
    """Arithmetic: multiply-adds of matrix products, hidden units of pairs, logarithms."""

    products: float = 0
    units: float = 0
    logarithms: float = 0

    def least(self) -> float:
        """Return the seconds it takes where every part runs at the most that this machine does, one after the other."""
        rate = units_a_second(512)
        return (
            self.products / products_a_second()
            + (self.units / rate if rate else 0)
            + self.logarithms / logarithms_a_second()
        )


def best_of(function: Callable[[], object]) -> float:
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    times = []
    for _ in range(2 * REPEATS):
        wait()
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


@cache
def products_a_second() -> float:
    """Return multiply-adds a second of one large matrix product, on all cores."""
    x = torch.rand(2048, 2048, device="cuda" if torch.cuda.is_available() else "cpu")
    return len(x) ** 3 / best_of(lambda: x @ x)


@cache
def logarithms_a_second() -> float:
    """Return logarithms a second of data in cache, on all cores."""
    cuda = torch.cuda.is_available()
    x = torch.rand(2**26 if cuda else 2**13, device="cuda" if cuda else "cpu")
    out = torch.empty_like(x)
    cores = 1 if cuda else torch.get_num_threads()
    return cores * len(x) / best_of(lambda: torch.log(x, out=out))


@cache
def units_a_second(hidden: int) -> float:
    """Return hidden units a second that all cores together can add, rectify, weight and sum in their caches.

    A GPU does it in its registers. It is 0 without a C compiler, and on a GPU without Triton.
    """
    if torch.cuda.is_available():
        try:
            from gpu_limit import units, work
        except ImportError:
            return 0.0
        return units() / best_of(work)
    compiler = shutil.which("c++")
    if compiler is None:
        return 0.0
    width = 64 if "avx512f" in Path("/proc/cpuinfo").read_text() else 32
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "limit.cpp", Path(folder) / "limit.so"
        source.write_text(LIMIT)
        options = ["-O3", "-march=native", "-ffast-math", "-funroll-loops", "-shared", "-fPIC", f"-DWIDTH={width}"]
        subprocess.run([compiler, *options, str(source), "-o", str(library)], check=True)
        run = ctypes.CDLL(os.fspath(library)).run
    run.restype = ctypes.c_float
    cores = torch.get_num_threads()

    def work(_: int) -> None:
        u, v, w = (torch.randn(count, hidden).numpy() for count in (1, 8, 1))
        run(ctypes.c_long(ROUNDS), ctypes.c_long(hidden), *(ctypes.c_void_p(x.ctypes.data) for x in (u, v, w)))

    with ThreadPoolExecutor(cores) as pool:
        return cores * ROUNDS * 8 * hidden / best_of(lambda: list(pool.map(work, range(cores))))
