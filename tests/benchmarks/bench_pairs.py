"""The core on its own against the obvious implementation of the same thing.

pytest -n 0 -s tests/benchmarks/bench_pairs.py
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from enumerated import EnumeratedHead, enumerated_ccl, enumerated_kcl
from measure import Work, best_of, compare, resident, units_a_second
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from clusterkit.losses.ccl import ccl
from clusterkit.losses.kcl import kcl
from clusterkit.networks.pair_head import PairHead
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tiles import places, tiles
from clusterkit.replay import Steps, recorder_for

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ROOM = 4 * 10**8
"""Numbers in one tensor of the obvious form, beyond which a smaller batch is measured instead."""


def clear(*tensors: Tensor) -> None:
    for tensor in tensors:
        tensor.grad = None


SIZES = [(100, 512), (100, 4096)]
if DEVICE.type == "cuda":
    SIZES += [(10, 64), (10, 4096), (30, 512), (300, 64), (300, 512), (300, 4096)]


@pytest.mark.parametrize("is_replayed", [True, False] if DEVICE.type == "cuda" else [False])
@pytest.mark.parametrize(("batch", "hidden"), SIZES)
def test_pair_head(batch: int, hidden: int, is_replayed: bool, benchmark: BenchmarkFixture) -> None:
    x = torch.randn(batch, 1024, requires_grad=True, device=DEVICE)
    target = torch.rand(batch, batch, device=DEVICE) > 0.9
    factored, enumerated = PairHead(1024, hidden).to(DEVICE), EnumeratedHead(1024, hidden).to(DEVICE)

    parameters = [nn.Parameter(x), *factored.parameters()]
    steps = Steps[Tensor](
        "pair head", lambda y: {"loss": F.binary_cross_entropy_with_logits(factored(parameters[0]), y)}, factored,
        parameters, recorder_for(DEVICE, 10**6 if is_replayed else 0),
    )  # fmt: skip

    def ours() -> None:
        steps(target.float())

    def obvious() -> None:
        clear(x, *enumerated.parameters())
        F.cross_entropy(enumerated(x), target.reshape(-1).long()).backward()

    # Two projections, three products each; every pair's hidden units once forward and twice backward.
    work = Work(6 * batch * 1024 * hidden, 3 * batch**2 * hidden)
    title = f"pair head, B = {batch}, D = 1024, H = {hidden}{', replayed' if is_replayed else ''}"
    compare(benchmark, title, ours, obvious, work=work)


@pytest.mark.parametrize(("batch", "k"), [(100, 100), (512, 500), (1024, 1000), (8192, 100), (8192, 1000)])
@pytest.mark.parametrize(("ours", "obvious"), [(ccl, enumerated_ccl), (kcl, enumerated_kcl)], ids=["ccl", "kcl"])
def test_losses(
    batch: int, k: int, ours: Callable[..., Tensor], obvious: Callable[..., Tensor], benchmark: BenchmarkFixture
) -> None:
    fits = min(batch, int((ROOM / k) ** 0.5))

    def step(loss: Callable[..., Tensor], size: int) -> Callable[[], None]:
        logits = torch.randn(size, k, requires_grad=True, device=DEVICE)
        similar = (torch.rand(size, size, device=DEVICE) > 0.9).float()

        def run() -> None:
            clear(logits)
            loss(logits, similar).backward()

        return run

    title = f"{ours.__name__}, B = {batch}, K = {k}"
    work = Work(2 * batch**2 * k, logarithms=2 * batch**2 if ours is ccl else 0)
    compare(benchmark, title, step(ours, batch), step(obvious, fits), (batch / fits) ** 2, work)


@pytest.mark.parametrize("count", [20_000, 60_000])
def test_predict_pairs(count: int, benchmark: BenchmarkFixture) -> None:
    """All symmetric logits of N items, taken tile by tile and let go."""
    hidden, few = 512, 200
    head: nn.Module = EnumeratedHead(1024, hidden).to(DEVICE).eval()
    features = torch.randn(few, 1024, device=DEVICE)
    u, v = torch.randn(2, count, hidden)
    pairs = FactoredPairs(u, v, torch.randn(hidden), torch.zeros(())).to(DEVICE)
    best = units_a_second(hidden)
    wanted = list(places(count))
    before = resident("VmRSS")
    peaks: list[int] = []

    def ours() -> None:
        for number, _ in enumerate(tiles(pairs, wanted)):
            if number % 100 == 0:
                peaks.append(resident("VmRSS") - before)

    def obvious() -> None:
        with torch.no_grad():
            head(features)

    other = best_of(obvious) * (count / few) ** 2
    benchmark.pedantic(ours, rounds=1, warmup_rounds=1 if count < 50_000 else 0)
    mine = benchmark.stats.stats.median
    units = count**2 * hidden / mine
    share = f"{units / best:.2f} of the limit of {best / 1e9:.1f}" if best else "no compiler to measure the limit with"
    print(
        f"\npredict-pairs, N = {count:,}, H = {hidden}: {mine:.1f} s against {other:.0f} s (extrapolated), ratio "
        f"{other / mine:.0f}; {units / 1e9:.1f} thousand million hidden units a second, {share}; "
        f"peak {max(peaks) / 2**20:.0f} MiB more"
    )
