"""The core against the obvious implementation of the same thing, interleaved in one run.

pytest -s tests/benchmarks/bench_core.py
"""

import statistics
import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.losses.ccl import ccl
from clusterkit.losses.kcl import kcl
from clusterkit.networks.pair_head import PairHead

REPEATS = 5


def compare(title: str, ours: Callable[[], object], obvious: Callable[[], object]) -> None:
    """Print the median time of both and their ratio."""
    ours(), obvious()
    times: dict[str, list[float]] = {"ours": [], "obvious": []}
    for _ in range(REPEATS):
        for name, function in (("ours", ours), ("obvious", obvious)):
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    mine, other = (statistics.median(values) for values in times.values())
    print(f"\n{title}: {mine * 1e3:.1f} ms against {other * 1e3:.1f} ms, ratio {other / mine:.1f}")


class EnumeratedHead(nn.Module):
    """The pair-enumeration layer written out: B^2 rows of 2D."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * features, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        pairs = torch.cat([x.repeat_interleave(count, 0), x.repeat(count, 1)], 1)
        return self.layers(pairs).view(count, count)  # type: ignore[no-any-return]


@pytest.mark.parametrize("hidden", [512, 4096])
def test_pair_head(hidden: int) -> None:
    x = torch.randn(100, 1024, requires_grad=True)
    target = (torch.rand(100, 100) > 0.9).float()

    def step(head: nn.Module) -> None:
        F.binary_cross_entropy_with_logits(head(x), target).backward()

    factored, enumerated = PairHead(1024, hidden), EnumeratedHead(1024, hidden)
    compare(f"pair head, B = 100, D = 1024, H = {hidden}", lambda: step(factored), lambda: step(enumerated))


def enumerated_ccl(logits: Tensor, similar: Tensor) -> Tensor:
    p = logits.softmax(1)
    count = len(p)
    together = (p.repeat_interleave(count, 0) * p.repeat(count, 1)).sum(1)
    s = similar.reshape(-1)
    return -(s * (together + 1e-7).log() + (1 - s) * (1 - together + 1e-7).log()).mean()


def enumerated_kcl(logits: Tensor, similar: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    count = len(log_p)
    left, right = log_p.detach().repeat_interleave(count, 0), log_p.repeat(count, 1)
    divergence = (left.exp() * (left - right)).sum(1)
    s = similar.reshape(-1)
    return (s * divergence + (1 - s) * (2 - divergence).clamp_min(0)).mean()


@pytest.mark.parametrize(("batch", "k"), [(100, 100), (512, 500)])
@pytest.mark.parametrize(("ours", "obvious"), [(ccl, enumerated_ccl), (kcl, enumerated_kcl)], ids=["ccl", "kcl"])
def test_losses(batch: int, k: int, ours: Callable[..., Tensor], obvious: Callable[..., Tensor]) -> None:
    logits = torch.randn(batch, k, requires_grad=True)
    similar = (torch.rand(batch, batch) > 0.9).float()
    compare(
        f"{ours.__name__}, B = {batch}, K = {k}",
        lambda: ours(logits, similar).backward(),
        lambda: obvious(logits, similar).backward(),
    )
