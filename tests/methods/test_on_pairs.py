"""Linkage, density and cuts of probabilities, against what they are by definition; k-means at rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import clusterkit
from clusterkit.methods.common.points import equal_together, k_means
from clusterkit.methods.common.problem import Problem
from clusterkit.methods.common.solve import probabilities, signs
from clusterkit.metrics.clustering import accuracy
from clusterkit.pairs.dense import DensePairs
from tests.problems import Case, case

Array = NDArray[np.float64]


def noisy(folder: Path, method: str, count: int = 30, seed: int = 0) -> Case:
    logits = torch.randn(count, count, generator=torch.Generator().manual_seed(seed))
    return case(method, torch.zeros(count, 2), DensePairs(logits), 4, folder)


def average_linkage(probability: Array, k: int) -> set[frozenset[int]]:
    clusters = [frozenset([item]) for item in range(len(probability))]
    while len(clusters) > k:
        means = {
            np.mean([probability[i, j] for i in one for j in other]): (one, other)
            for number, one in enumerate(clusters)
            for other in clusters[:number]
        }
        one, other = means[max(means)]
        clusters = [cluster for cluster in clusters if cluster not in (one, other)] + [one | other]
    return set(clusters)


def test_average_linkage_is_what_it_is_by_definition(tmp_path: Path) -> None:
    asked = noisy(tmp_path, "agglomerative").having(k=6)
    cluster = asked.clustered().cluster
    groups = {frozenset(np.flatnonzero(cluster == number).tolist()) for number in set(cluster.tolist())}
    assert groups == average_linkage(asked.problem.pairs, 6)


def test_parts_of_a_graph_are_the_clusters(tmp_path: Path) -> None:
    part = np.random.default_rng(0).integers(3, size=30)
    logits = torch.from_numpy(np.where(part[:, None] == part, 3.0, -np.inf))
    asked = noisy(tmp_path, "spectral").having(pairs=DensePairs(logits), k=3)
    assert accuracy(asked.clustered().cluster, part) == 1


def test_an_item_like_no_other_is_in_no_cluster(tmp_path: Path) -> None:
    labels = torch.cat([torch.arange(4).repeat(10), torch.tensor([9])])
    logits = torch.where(labels[:, None] == labels, 6.0, -3.0) + 0.1 * torch.randn(41, 41)
    logits[-1], logits[:, -1] = -9.0, -9.0
    result = case("hdbscan", torch.zeros(41, 2), DensePairs(logits), 0, tmp_path).clustered()
    assert result.cluster.tolist().count(-1) == 1
    assert result.cluster[-1] == -1
    assert result.prob.shape == (41, 4)
    assert not result.prob[-1].any()


@pytest.mark.parametrize(("count", "spread"), [(6, 1.0), (30, 0.0), (30, 3.0), (120, 0.0)])
def test_one_tight_group_is_one_cluster_without_its_outliers(count: int, spread: float, tmp_path: Path) -> None:
    logits = 3 + spread * torch.randn(count, count, generator=torch.Generator().manual_seed(1))
    asked = case("hdbscan", torch.zeros(count, 2), DensePairs(logits), 0, tmp_path)
    result = asked.clustered()
    assert result.cluster.tolist() == [0] * count
    assert result.prob.tolist() == [[1.0]] * count
    logits[0], logits[:, 0] = -9.0, -9.0
    assert asked.clustered().cluster.tolist() == [-1] + [0] * (count - 1)


@pytest.mark.parametrize("logit", [-5.0, 0.0, torch.nan])
def test_items_that_are_not_alike_are_no_cluster(logit: float, tmp_path: Path) -> None:
    asked = noisy(tmp_path, "hdbscan").having(pairs=DensePairs(torch.full((30, 30), logit)))
    assert asked.clustered().cluster.tolist() == [-1] * 30


def test_k_means_rests_at_the_nearest_means() -> None:
    points = np.random.default_rng(0).standard_normal((60, 3))
    cluster = k_means(points, 5, 0, "all")
    means = np.stack([points[cluster == number].mean(0) for number in range(5)])
    nearest = ((points[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == cluster).all()


def test_pairs_are_binarised_and_both_orders_count() -> None:
    pairs = DensePairs(torch.tensor([[-5.0, 2.0, torch.nan], [-1.0, 0.0, -1.0], [1.0, -3.0, 9.0]]))
    np.testing.assert_array_equal(signs(pairs, np.arange(3)), [[0, 1, 0], [1, 0, -1], [0, -1, 0]])
    np.testing.assert_array_equal(signs(pairs, np.array([0, 1])), [[0, 1], [1, 0]])
    np.testing.assert_allclose(probabilities(pairs)[0, 1:], [1 / (1 + np.exp(-0.5)), 0.5])


@pytest.mark.parametrize("method", ["itml", "mpckmeans"])
def test_a_sample_has_no_more_pairs_than_allowed(method: str, tmp_path: Path) -> None:
    assert noisy(tmp_path, method).problem.chosen.tolist() == list(range(30))
    for most, size in ((900, 30), (899, 29), (100, 10), (4, 2)):
        few = noisy(tmp_path, method).by(method, max_pairs=most)
        chosen = few.problem.chosen
        assert len(chosen) == size
        assert few.problem.pairs.shape == (size, size)
        assert (np.diff(chosen) > 0).all()
        assert (few.problem.chosen == chosen).all()


def test_ties_leave_as_many_clusters_as_asked_for(tmp_path: Path) -> None:
    for pairs in (torch.full((30, 30), -3.0), torch.full((30, 30), 3.0), torch.zeros(30, 30)):
        asked = noisy(tmp_path, "agglomerative").having(pairs=DensePairs(pairs), k=7)
        assert asked.clustered().clusters == 7


def test_k_means_speaks_of_clusters_and_methods_of_items(caplog: pytest.LogCaptureFixture) -> None:
    assert set(k_means(np.repeat(np.eye(2), 5, axis=0), 3, 0, "part")) == {0, 1}
    assert "cluster part: 2 clusters instead of 3, because the method tells no more items apart" in caplog.text
    assert "items differ" not in caplog.text
    problem = Problem(
        values=np.repeat(np.eye(2), 5, axis=0),
        pairs=np.zeros((0, 0)),
        chosen=np.arange(10),
        k=3,
        options=None,
        seed=0,
        title="part",
    )
    for features, words in ((False, "only 2 of 10 items differ"), (True, "the features of only 2 of 10 items differ")):
        caplog.clear()
        equal_together(replace(problem, features=features), lambda: np.zeros(10, int))
        assert f"cluster part: {words}" in caplog.text


@pytest.mark.parametrize("method", ["itml", "skkm", "sklr"])
def test_items_are_counted_as_the_file_holds_them(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """The metric drops the second value, which hardly varies, but the items differ in it."""
    x = np.column_stack([np.repeat([0.0, 9.0], 10), 1e-9 * np.arange(20)])
    same = (x[:, :1] == x[:, 0]).astype(float)
    clusterkit.cluster(x, k=3, method=method, pairs=same)
    assert "items differ" not in caplog.text
