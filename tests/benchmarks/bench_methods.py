"""Methods of clustering on all pairs, against going through the pairs one by one; and what each declares that it costs.

pytest -n 0 -s tests/benchmarks/bench_methods.py
"""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.config import ClusterConfig
from clusterkit.methods import METHODS, reads_pairs, with_options
from clusterkit.methods.common.check import SPEED, size_of
from clusterkit.methods.common.logdet import learn, pair_loss
from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.mpckmeans import State, prices, start, sweep, to_centres
from clusterkit.methods.sklr import TIMES, WEIGHT, comparison_loss
from clusterkit.pairs.dense import DensePairs
from clusterkit.settings import Features
from clusterkit.studies.common.measured import Cost, in_new_process
from tests.benchmarks.measure import compare, peak
from tests.problems import case

Array = NDArray[np.float64]


def noisy_pairs(count: int) -> tuple[Array, Array]:
    """Points in 20 groups, and their pairs, of which one in ten is wrong."""
    rng = np.random.default_rng(0)
    group = rng.integers(20, size=count)
    right = np.where(group[:, None] == group, 1.0, -1.0)
    pairs = np.triu(right * rng.choice([1.0, -1.0], right.shape, p=[0.9, 0.1]), 1)
    return rng.standard_normal((20, 256))[group] + rng.standard_normal((count, 256)), pairs + pairs.T


@pytest.mark.parametrize("count", [400, 900])
def test_comparisons_of_all_triplets(count: int, benchmark: BenchmarkFixture) -> None:
    points, pairs = noisy_pairs(count)
    distances, loss = squared_distances(points), comparison_loss(pairs)

    def written_out() -> tuple[float, Array]:
        total, slope = 0.0, np.zeros_like(distances)
        for i in range(count):
            near, far = np.flatnonzero(pairs[i] > 0), np.flatnonzero(pairs[i] < 0)
            short = np.maximum(0, TIMES * distances[i, near][:, None] - distances[i, far])
            weight = WEIGHT / short.size
            total += weight * float((short**2).sum())
            slope[i, near] += 2 * TIMES * weight * short.sum(1)
            slope[i, far] -= 2 * weight * short.sum(0)
        return total, (slope + slope.T) / 2

    np.testing.assert_allclose(loss(distances)[1], written_out()[1], atol=1e-9)
    compare(benchmark, f"all comparisons of N = {count}", lambda: loss(distances), written_out)


def test_a_metric_from_all_pairs(benchmark: BenchmarkFixture) -> None:
    points, pairs = noisy_pairs(500)
    rows, columns = np.triu_indices(len(points), 1)
    few = 500

    def projections() -> None:
        """The projections of ITML on the first pairs, as Davis et al. (2007) have them."""
        metric, dual, bound = np.eye(points.shape[1]), np.zeros(few), np.full(few, 300.0)
        for number in range(few):
            sign = pairs[rows[number], columns[number]]
            difference = points[rows[number]] - points[columns[number]]
            moved = metric @ difference
            distance = difference @ moved
            alpha = min(dual[number], sign / 2 * (1 / distance - 1 / bound[number]))
            dual[number] -= alpha
            metric += sign * alpha / (1 - sign * alpha * distance) * np.outer(moved, moved)

    compare(
        benchmark,
        "a step over the pairs of N = 500, D = 256, against a sweep of projections",
        lambda: learn(points, pair_loss(pairs, 300.0, 600.0, 1.0), 1),
        projections,
        len(rows) / few,
    )


def test_a_sweep_of_mpckmeans(benchmark: BenchmarkFixture) -> None:
    points, pairs = noisy_pairs(500)

    def fresh() -> State:
        return start(points, pairs, np.arange(len(points)), 20, 0)

    def written_out() -> None:
        """What each item costs in each cluster, anew for each item."""
        state = fresh()
        price, to = prices(state), to_centres(state.values, state.centres(), state.weight)
        for item in state.rng.permutation(len(points)):
            cost = [to[item, k] + price[item, state.cluster == k].sum() for k in range(state.k)]
            state.cluster[item] = int(np.argmin(cost))

    compare(benchmark, "a sweep of MPCK-means, N = 500, K = 20", lambda: sweep(fresh()), written_out)


K, TINY = 20, 60
SETS = {"kmeans": (8000, 200), "lpnmf": (8000, 200), "lsc": (8000, 200)}
USUAL = (800, 100)
"""Items and their values; of methods that hold matrices of N x N."""


def cluster(method: str, features: Features | None, count: int, width: int) -> None:
    """Sort noisy groups, by their pairs where the method reads them."""
    group = torch.arange(count) % K
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(K, width, generator=generator)[group] + torch.randn(count, width, generator=generator)
    asked = case(method, points, None, K, Path()).having(features=features)
    if reads_pairs(asked.config):
        logits = torch.where(group[:, None] == group, 2.0, -2.0) + torch.randn(count, count, generator=generator)
        asked = asked.having(pairs=DensePairs(logits.half()))
    asked.clustered()


def cost_of(method: str, features: Features | None, count: int, width: int) -> Cost:
    """Return processor seconds, and the bytes that this process grows by; what is loaded is so by a tiny run before."""
    cluster(method, features, TINY, width)
    start = time.process_time()
    grown = peak(lambda: cluster(method, features, count, width))
    return Cost(time.process_time() - start, grown)


@pytest.mark.parametrize(
    ("method", "features"),
    [*((method, None) for method in METHODS if method != "ccn"), ("spectral", Features.PIXELS)],
)
def test_a_method_takes_what_it_declares(method: str, features: Features | None) -> None:
    count, width = SETS.get(method, USUAL)
    found = in_new_process(cost_of, method, features, count, width)
    config = with_options(ClusterConfig(method=method, features=features))
    size, declares = size_of(config, count, width, K), METHODS[method]
    assert declares.memory is not None
    assert declares.work is not None
    declared, seconds = declares.memory(size), declares.work(size) / SPEED
    print(
        f"\n{method}, N = {count}, D = {width}: {found.peak_bytes / 2**20:.0f} MiB, {declared / 2**20:.0f} declared, "
        f"ratio {declared / found.peak_bytes:.2f}; {found.seconds:.1f} processor seconds, {seconds:.2f} declared, "
        f"ratio {seconds / found.seconds:.2f}"
    )
    assert 0.5 <= declared / found.peak_bytes <= 2
