"""Populations of clusterings against one at a time, with the same networks and the same critic."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.critic.network import Critic, CriticArchitecture
from clusterkit.critic.search import clusterings, weight_count
from clusterkit.settings import Graph
from tests.benchmarks.measure import compare

POPULATION, K = 100, 50


@pytest.mark.parametrize("graph", Graph)
@pytest.mark.parametrize("count", [200, 1000])
def test_a_population_is_scored_at_once(benchmark: BenchmarkFixture, graph: Graph, count: int) -> None:
    critic = Critic(CriticArchitecture(width=2, graph=graph))
    generator = torch.Generator().manual_seed(0)
    points = critic.read(torch.randn(count, 2, generator=generator))
    weights = torch.randn(POPULATION, weight_count(2, K), generator=generator)

    def at_once() -> torch.Tensor:
        return critic.scores(points, clusterings(points.x, weights, K))

    def one_by_one() -> list[torch.Tensor]:
        return [critic.scores(points, clusterings(points.x, row[None], K)) for row in weights]

    torch.testing.assert_close(at_once(), torch.cat(one_by_one()), atol=1e-5, rtol=1e-4)
    ours, other = compare(benchmark, f"{POPULATION} networks, N={count}, {graph}", at_once, one_by_one)
    assert other / ours > {(Graph.NEIGHBOURS, 200): 15, (Graph.CLIQUE, 200): 8}.get((graph, count), 3)
