"""No order of the files reaches a clustering, an estimate of K, or what a G goes on learning from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.artifacts.assignments import Assignment
from clusterkit.methods import METHODS, agglomerative
from clusterkit.methods.common.problem import Clustering, Problem, hard
from clusterkit.methods.common.solve import solve
from clusterkit.metrics.clustering import accuracy
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.links import Link, closure
from clusterkit.pairs.reordered import reordered
from clusterkit.stages.estimate_k import estimate
from tests.conftest import Cli
from tests.problems import Case, case

LABELS = np.repeat(np.arange(4), 20)


def equal_items(method: str, folder: Path) -> Case:
    """80 equal items of four classes, class by class, of whose pairs nothing is known."""
    pairs = DensePairs(torch.zeros(80, 80))
    return case(method, torch.zeros(80, 2), pairs, 4, folder, torch.from_numpy(LABELS))


def solved(asked: Case) -> Clustering:
    return solve(asked.config, asked.items, asked.question, asked.run)


@pytest.mark.parametrize("method", ["skkm", "sklr"])
def test_equal_items_in_the_order_of_their_classes_are_no_classes(method: str, tmp_path: Path) -> None:
    assert accuracy(solved(equal_items(method, tmp_path)).cluster, LABELS) < 0.5


def test_nor_are_they_through_the_program(points: Path, cli: Cli) -> None:
    np.savez("equal.npz", x=np.zeros((80, 2), np.float32), y=LABELS)
    assert cli("predict-pairs arrays:equal.npz").code == 0
    assert cli("cluster --k 4 --method skkm").code == 0
    assert cli("evaluate --fail-under acc=0.5").code == 4


def test_each_item_keeps_its_own_cluster_and_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_value(problem: Problem) -> Clustering:
        own = problem.values[:, 0]
        assert own.tolist() != sorted(own.tolist())
        np.testing.assert_allclose(problem.pairs.diagonal(), 1 / (1 + np.exp(-own)))
        return hard(own.astype(int), 80)

    monkeypatch.setattr(agglomerative, "agglomerative", by_value)
    monkeypatch.setitem(METHODS, "agglomerative", replace(METHODS["agglomerative"], values=True))
    own = torch.arange(80).float()
    found = solved(case("agglomerative", own[:, None], DensePairs(own.diag()), 80, tmp_path))
    assert found.cluster.tolist() == found.prob.argmax(1).tolist() == list(range(80))


@given(st.permutations(range(7)), st.lists(st.integers(0, 6), min_size=1), st.lists(st.integers(0, 6), min_size=1))
def test_pairs_in_another_order(order: list[int], rows: list[int], columns: list[int]) -> None:
    logit = torch.arange(49).reshape(7, 7).float()
    pairs = constrain(DensePairs(logit + logit.T), closure([Link(0, 5, True, 1), Link(2, 3, False, 2)], 7))
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
