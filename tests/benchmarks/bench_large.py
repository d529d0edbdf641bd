"""Consensus of a large set, against the matrix of all its pairs.

pytest -n 0 -s tests/benchmarks/bench_large.py
"""

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.methods.common.families import cut, families
from clusterkit.methods.common.large_families import family_memberships
from clusterkit.metrics.clustering import accuracy
from tests.benchmarks.measure import MIB, peak

COUNT, K = 8000, 20


def test_a_sample_costs_less_than_all_pairs_and_finds_as_much(benchmark: BenchmarkFixture) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(K, size=COUNT)
    points = rng.normal(size=(K, 64))[labels] + 1.5 * rng.normal(size=(COUNT, 64))
    benchmark.pedantic(lambda: family_memberships(points, K, 0), rounds=1)
    clusters, memory = {}, {}

    def ours() -> None:
        clusters["ours"] = family_memberships(points, K, 0)[0].argmax(1)

    def whole() -> None:
        clusters["whole"] = cut(families(points, K, 0), K)

    for name, function in (("ours", ours), ("whole", whole)):
        memory[name] = peak(function)
    scores = {name: accuracy(cluster, labels) for name, cluster in clusters.items()}
    print(
        f"\n{COUNT} items: {benchmark.stats.stats.median:.1f} s; peak {memory['ours'] / MIB:.0f} MiB against "
        f"{memory['whole'] / MIB:.0f} MiB; ACC {scores['ours']:.3f} against {scores['whole']:.3f}"
    )
    assert memory["ours"] < memory["whole"]
    assert scores["ours"] > scores["whole"] - 0.01
