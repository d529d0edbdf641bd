"""The losses of joint trainings on their own against every pair of a batch written out.

pytest -n 0 -s tests/benchmarks/bench_joint.py
"""

import math
from collections.abc import Callable

import pytest
import torch
from enumerated import enumerated_autonovel, enumerated_supreme
from measure import Work, compare
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from clusterkit.losses.autonovel import pair_entropy
from clusterkit.losses.supreme import constrained, weighted_constraints

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TAU = 0.25


def supreme(first: Tensor, second: Tensor, prior: Tensor) -> Tensor:
    return constrained(first.softmax(1), second.softmax(1), weighted_constraints(prior, TAU))


def by_pairs(first: Tensor, second: Tensor, prior: Tensor) -> Tensor:
    return enumerated_supreme(first.softmax(1), second.softmax(1), prior, math.log(prior.shape[1]) ** 2 * TAU)


def times(
    title: str, ours: Callable[..., Tensor], obvious: Callable[..., Tensor], about: Tensor, k: int, work: Work,
    benchmark: BenchmarkFixture,
) -> None:  # fmt: skip
    """Compare value and gradient by the logits of two views, which must be the same. `about` is what the pairs are."""
    logits = torch.randn(2, len(about), k, device=DEVICE).requires_grad_()

    def step(loss: Callable[..., Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            logits.grad = None
            loss(*logits, about).backward()
            assert logits.grad is not None
            return logits.grad

        return run

    torch.testing.assert_close(step(ours)(), step(obvious)(), rtol=1e-3, atol=1e-6)
    compare(benchmark, f"{title}, B = {len(about)}, K = {k}", step(ours), step(obvious), work=work)


@pytest.mark.parametrize(("batch", "k"), [(128, 5), (512, 20)])
def test_supreme(batch: int, k: int, benchmark: BenchmarkFixture) -> None:
    """The constraints of a batch with their confidence, and the likelihood of two views."""
    prior = (3 * torch.randn(batch, k, device=DEVICE)).softmax(1)
    work = Work(6 * batch**2 * k, logarithms=2 * batch**2)
    times("supreme", supreme, by_pairs, prior, k, work, benchmark)


@pytest.mark.parametrize(("batch", "k"), [(128, 5), (512, 20)])
def test_autonovel(batch: int, k: int, benchmark: BenchmarkFixture) -> None:
    similar = torch.rand(batch, batch, device=DEVICE) > 0.9
    work = Work(3 * batch**2 * k, logarithms=batch**2)
    times("autonovel", pair_entropy, enumerated_autonovel, similar, k, work, benchmark)
