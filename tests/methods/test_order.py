"""No order of the files reaches a clustering, an estimate of K, or what a G goes on learning from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.artifacts.assignments import Assignment
from clusterkit.config import Backbone, ClusterConfig, Kind, Method
from clusterkit.datasets.base import Subset
from clusterkit.methods import METHODS
from clusterkit.methods.common.problem import Clustering, Problem, hard, solve
from clusterkit.metrics.clustering import accuracy
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.reordered import reordered
from clusterkit.stages.estimate_k import estimate
from tests.conftest import Cli

LABELS = np.repeat(np.arange(4), 20)


def equal_items(method: Method, folder: Path) -> Problem:
    """80 equal items of four classes, class by class, of whose pairs nothing is known."""
    subset = Subset("all", torch.zeros(80, 2), torch.arange(80), torch.from_numpy(LABELS))
    config = ClusterConfig(method=method, backbone=Backbone.MLP, epochs=1)
    pairs = DensePairs(torch.zeros(80, 80))
    return Problem(subset, Kind.VECTORS, (2,), 4, pairs, config, 0, torch.device("cpu"), folder / "state", "key")


@pytest.mark.parametrize("method", [Method.SKKM, Method.SKLR])
def test_equal_items_in_the_order_of_their_classes_are_no_classes(method: Method, tmp_path: Path) -> None:
    found = solve(METHODS[method], equal_items(method, tmp_path))
    assert accuracy(found.cluster, LABELS) < 0.5


def test_nor_are_they_through_the_program(points: Path, cli: Cli) -> None:
    np.savez("equal.npz", x=np.zeros((80, 2), np.float32), y=LABELS)
    assert cli("predict-pairs arrays:equal.npz").code == 0
    assert cli("cluster --k 4 --method skkm").code == 0
    assert cli("evaluate --fail-under acc=0.5").code == 4


def test_each_item_keeps_its_own_cluster_and_probabilities(tmp_path: Path) -> None:
    def by_value(problem: Problem) -> Clustering:
        images = problem.subset.images
        assert isinstance(images, torch.Tensor)
        assert problem.subset.ids.tolist() != sorted(problem.subset.ids.tolist())
        assert problem.pairs is not None
        own = problem.pairs.logits(torch.arange(80), torch.arange(80)).diagonal()
        assert own.tolist() == images[:, 0].tolist()
        return hard(images[:, 0].int().numpy(), 80)

    problem = equal_items(Method.KMEANS, tmp_path)
    values = torch.arange(80).float()[:, None]
    subset, pairs = replace(problem.subset, images=values), DensePairs(values[:, 0].diag())
    found = solve(by_value, replace(problem, subset=subset, pairs=pairs))
    assert found.cluster.tolist() == found.prob.argmax(1).tolist() == list(range(80))


@given(st.permutations(range(7)), st.lists(st.integers(0, 6), min_size=1), st.lists(st.integers(0, 6), min_size=1))
def test_pairs_in_another_order(order: list[int], rows: list[int], columns: list[int]) -> None:
    logit = torch.arange(49).reshape(7, 7).float()
    pairs = constrain(DensePairs(logit + logit.T), torch.arange(7), [(0, 5, 16.0), (2, 3, -16.0)])
    place = torch.tensor(order)
    for one in (pairs, DensePairs(logit)):
        found = reordered(one, place).logits(torch.tensor(rows), torch.tensor(columns))
        assert torch.equal(found, one.logits(place[rows], place[columns]))
    assert type(reordered(pairs, place)) is type(pairs), "constraints stay constraints"


def test_estimates_of_k_see_items_in_a_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("clusterkit.stages.estimate_k.linkage_count", lambda given, smallest: seen.append(given) or 2)
    monkeypatch.setattr("clusterkit.stages.estimate_k.consensus", lambda given, seed: given)
    own = np.arange(80) / 10
    logits = torch.from_numpy(np.add.outer(own, own))
    given = Assignment(np.arange(80), np.zeros(80, np.int32), np.ones((80, 1), np.float32))
    estimate(given, 100, DensePairs(logits), "all", 0)
    linked, agreed = seen
    for matrix in (linked, agreed):
        order = matrix.diagonal().argsort()
        assert order.tolist() != list(range(80))
        np.testing.assert_allclose(np.diff(matrix.diagonal()[order]) > 0, True)
