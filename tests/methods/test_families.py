"""Consensus of families of clusterings: groups of any size, of equal items, and of hardly any."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from clusterkit.methods.common import families as of_families
from clusterkit.methods.common import sample
from clusterkit.methods.common.consensus_targets import consensus_targets
from clusterkit.methods.common.families import (
    clusterings,
    cut,
    families,
    memberships,
    neighbour_graph,
    principal,
    told,
    whitened,
)
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.evening import scaled
from clusterkit.pairs.links import Link, closure

Array = np.ndarray


def blobs(sizes: list[int], spread: float = 0.2, seed: int = 0) -> tuple[Array, Array]:
    """Points (N, 12) about far-off centres, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(len(sizes)).repeat(sizes)
    points = np.eye(12)[: len(sizes)][labels] + spread * rng.normal(size=(len(labels), 12)) / np.sqrt(12)
    return points, labels


def groups(points: Array, k: int) -> Array:
    return cut(families(points, k, 0), k)


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Groups that all are `length` long in the same `long` directions, each of `parts` dense parts.

    The largest has `size` items, the smallest a `ratio`-th of these.
    """

    k: int
    dimensions: int
    long: int
    length: float
    noise: float
    parts: int = 1
    ratio: float = 1
    size: int = 60

    def draw(self, seed: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(seed)
        sizes = np.round(self.size * self.ratio ** np.linspace(0, -1, self.k)).astype(int)
        labels = np.arange(self.k).repeat(sizes)
        points = np.eye(self.dimensions)[labels]
        points[:, self.k : self.k + self.long] += self.length * rng.uniform(-1, 1, (len(labels), self.long))
        if self.parts > 1:
            offsets = 0.8 * rng.normal(size=(self.k * self.parts, self.dimensions)) / np.sqrt(self.dimensions)
            points += offsets[labels * self.parts + rng.integers(0, self.parts, len(labels))]
        return points + self.noise * rng.normal(size=points.shape) / np.sqrt(self.dimensions), labels


@pytest.mark.parametrize(
    ("shapes", "seeds", "least", "margin"),
    [
        pytest.param(Shapes(k=6, dimensions=50, long=2, length=1.4, noise=0.7), 3, 0.88, 0.4, id="long"),
        pytest.param(Shapes(k=6, dimensions=24, long=1, length=1.7, noise=0.7, parts=3), 5, 0.84, 0.2, id="parts"),
        pytest.param(Shapes(k=3, dimensions=24, long=4, length=0.6, noise=1, ratio=12), 4, 0.95, 0.12, id="small"),
    ],
)
def test_groups_that_k_means_divides_stay_whole(shapes: Shapes, seeds: int, least: float, margin: float) -> None:
    """Groups are found that one clustering by k-means, one without moves, without Ward or without whitening loses."""
    ours, of_k_means = [], []
    for seed in range(seeds):
        points, labels = shapes.draw(seed)
        ours.append(accuracy(groups(points, shapes.k), labels))
        of_k_means.append(accuracy(KMeans(shapes.k, n_init=10, random_state=0).fit_predict(points), labels))
    assert np.mean(ours) > least
    assert np.mean(ours) > np.mean(of_k_means) + margin


def test_every_family_takes_part() -> None:
    points = np.random.default_rng(0).normal(size=(140, 130))
    members = list(clusterings(points, 3, 0))
    assert len(members) == 3 * 3 * 2 * 2
    assert len({member.tobytes() for member in members}) > 18


def test_groups_of_very_different_size_are_found() -> None:
    points, labels = blobs([200, 60, 20, 6])
    assert accuracy(groups(points, 4), labels) == 1.0


@pytest.mark.parametrize(("sizes", "distance"), [([1000, 30, 10, 5], 6), ([600, 60, 18, 6], 3), ([300, 30, 10, 5], 3)])
def test_groups_of_which_one_has_nearly_all_items_are_found(sizes: list[int], distance: int) -> None:
    rng = np.random.default_rng(7)
    labels = np.arange(len(sizes)).repeat(sizes)
    centres = 3 * distance * rng.normal(size=(len(sizes), 30)) / np.sqrt(30)
    points = centres[labels] + rng.normal(size=(len(labels), 30)) * rng.uniform(0.3, 1.5, 30)
    assert adjusted_rand_score(labels, groups(scaled(points - points.mean(0)), len(sizes))) > 0.9


def test_average_linkage_is_chosen_only_where_neighbours_tell_its_groups_decisively(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, labels = blobs([40, 40, 40])
    others = np.arange(120) % 3
    monkeypatch.setattr(of_families, "by_average", lambda z, k, seed: (neighbour_graph(z, 20), others))
    assert accuracy(groups(points, 3), labels) == 1.0
    monkeypatch.setattr(of_families, "DECISIVE", -1)
    assert accuracy(groups(points, 3), others) == 1.0


def test_what_neighbours_tell_of_groups_is_their_shared_entropy() -> None:
    graph = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    assert told(graph, np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert told(graph, np.array([0, 1, 0, 1])) == pytest.approx(1)
    assert told(np.ones((4, 4)), np.array([0, 0, 1, 1])) == pytest.approx(0)
    assert told(graph, np.zeros(4, np.int64)) == 0


def test_a_group_of_two_dense_parts_stays_whole() -> None:
    points, labels = blobs([40, 40, 40])
    rng = np.random.default_rng(1)
    parts = points[labels == 0].mean(0) + 0.15 * rng.normal(size=(2, 12)) / np.sqrt(12)
    points[labels == 0] = parts.repeat(20, 0) + 0.001 * rng.normal(size=(40, 12))
    assert accuracy(groups(points, 3), labels) == 1.0


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 3))
@settings(max_examples=20)
def test_any_few_items_have_shares(count: int, k: int, width: int) -> None:
    points = np.random.default_rng(count).integers(0, 3, (count, width)).astype(np.float64)
    shares = families(points, k, 0)
    assert shares.shape == (count, count)
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_array_equal(shares, shares.T)
    np.testing.assert_array_equal(np.diag(shares), 1)
    clusters = cut(shares, k)
    assert clusters.shape == (count,)
    assert len(set(clusters.tolist())) <= k
    same = (points[:, None] == points).all(2)
    assert (shares[same] == 1).all()


def test_equal_points_share_their_group_and_differing_ones_are_parted() -> None:
    points = np.eye(3)[np.arange(30) % 3]
    assert accuracy(groups(points, 3), np.arange(30) % 3) == 1.0
    assert not groups(np.ones((30, 3)), 3).any()


def test_as_many_groups_as_items_leave_each_alone() -> None:
    points = np.random.default_rng(0).normal(size=(12, 4))
    assert len(set(groups(points, 12).tolist())) == 12
    assert 2 <= len(set(groups(points, 11).tolist())) <= 11


def test_the_same_seed_gives_the_same_shares() -> None:
    points, _ = blobs([30, 20, 10], spread=1.0)
    np.testing.assert_array_equal(families(points, 3, 5), families(points, 3, 5))


def test_neighbours_weigh_one_in_all() -> None:
    points, _ = blobs([20, 10])
    graph = neighbour_graph(points, 4)
    np.testing.assert_allclose(graph.sum(1), 1)
    assert (graph.diagonal() == 0).all()


@pytest.mark.parametrize("shape", [(5, 30), (30, 5)])
def test_principal_components_keep_distances(shape: tuple[int, int]) -> None:
    points = np.random.default_rng(0).normal(size=shape)
    components = principal(points, 5)
    for x in (points - points.mean(0), components):
        np.testing.assert_allclose(x @ x.T, (points - points.mean(0)) @ (points - points.mean(0)).T, atol=1e-9)


def test_long_parallel_groups_are_parted_along_their_length() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2).repeat(100)
    points = np.c_[rng.normal(0, 2.5, 200), 3 * labels + rng.normal(0, 0.3, 200)]
    mixed = np.where(rng.random(200) < 0.2, 1 - labels, labels)
    assert accuracy(whitened(points, mixed), labels) == 1.0


def test_memberships_are_the_mean_shares_with_each_group() -> None:
    shares = np.array([[1, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 1]])
    np.testing.assert_allclose(memberships(shares, np.array([0, 0, 1]), 2), [[0.6, 0.4], [1, 0], [0.2, 0.8]])


def test_items_outside_the_sample_follow_their_nearest_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = blobs([40, 40, 40])
    monkeypatch.setattr(sample, "LARGEST", 60)
    targets = consensus_targets(points, 3, 0)[0]
    assert targets.shape == (120, 3)
    assert accuracy(targets.argmax(1), labels) == 1.0
    # The sample does not depend on the order.
    points = points + 3 * np.random.default_rng(0).normal(size=points.shape)
    order = np.random.default_rng(1).permutation(120)
    np.testing.assert_allclose(consensus_targets(points, 3, 0)[0][order], consensus_targets(points[order], 3, 0)[0])


def test_links_hold_against_the_points() -> None:
    points, labels = blobs([20, 20, 20])
    links = closure([Link(0, 25, True, 1), Link(1, 2, False, 2)], len(points))
    cluster = consensus_targets(points, 3, 0, links)[0].argmax(1)
    assert cluster[0] == cluster[25]
    assert cluster[1] != cluster[2]
    others = ~links.linked
    assert accuracy(cluster[others], labels[others]) == 1.0
