"""The estimate of K by probe classes, against k-means by hand and on easy groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from clusterkit.metrics import probe_k
from clusterkit.metrics.probe_k import Anchored, probe_estimate, silhouette


def groups_of(classes: int, each: int, noise: float = 0.1, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return items (N, 40) around corners of a cube that lie apart, from corner number `first`, and their classes."""
    rng = np.random.default_rng(first)
    labels = np.arange(classes * each) % classes
    return np.eye(40)[first + labels] + noise / np.sqrt(40) * rng.normal(size=(len(labels), 40)), labels


def by_hand(free: np.ndarray, anchors: list[np.ndarray], starts: np.ndarray) -> np.ndarray:
    """Cluster item by item in float64: anchors stay, other items go to the nearest mean of a cluster."""
    centres = [centre.astype(np.float64) for centre in starts]
    clusters = [-1] * len(free)
    for _ in range(probe_k.PASSES):
        nearest = [int(np.argmin([((item - centre) ** 2).sum() for centre in centres])) for item in free]
        if nearest == clusters:
            break
        clusters = nearest
        for number in range(len(centres)):
            members = [item for item, cluster in zip(free, clusters, strict=True) if cluster == number]
            members += list(anchors[number]) if number < len(anchors) else []
            if members:
                centres[number] = np.mean(members, 0)
    return np.array(clusters)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 6))
def test_constrained_k_means_is_that_by_hand(seed: int, fixed: int, new: int) -> None:
    rng = np.random.default_rng(seed)
    free = 10 + rng.normal(size=(40, 3))
    anchors = [10 + rng.normal(size=(int(rng.integers(1, 9)), 3)) for _ in range(fixed)]
    problem = Anchored.of(free, anchors)
    starts = problem.starts(fixed + new, rng)
    assert len(starts) == fixed + new
    centred = [items - free.mean(0) for items in anchors]
    assert starts[:fixed] == pytest.approx(np.stack([items.mean(0) for items in centred]), abs=1e-5)
    expected = by_hand(free - free.mean(0), centred, starts)
    assert problem.clusters(starts).tolist() == expected.tolist()


def test_anchors_keep_their_clusters_and_pull_their_centre() -> None:
    """Free of its anchors, the first centre would move to the two items, and take the third from the other cluster."""
    free = np.array([[-1.0], [-1.0], [1.2], [4.0]])
    anchors = [np.full((20, 1), -4.0)]
    centre = -4 - free.mean()
    problem = Anchored.of(free, anchors)
    assert problem.clusters(np.array([[centre], [4 - free.mean()]], np.float32)).tolist() == [0, 0, 1, 1]
    assert np.allclose(problem.sums / problem.sizes[:, None], centre)


@pytest.mark.parametrize("k", [2, 7, 15])
def test_the_number_of_easy_groups_is_found(k: int) -> None:
    """It is found for most draws of anchors and starts, and missed by one at most."""
    target, _ = groups_of(k, 12)
    probe, labels = groups_of(12, 12, first=20)
    estimates = [probe_estimate(target, probe, labels, 30, seed).k for seed in range(5)]
    assert estimates.count(k) >= 4
    assert max(abs(value - k) for value in estimates) <= 1


def test_the_order_of_names_and_a_shift_do_not_matter() -> None:
    target, _ = groups_of(5, 12, noise=2)
    probe, labels = groups_of(10, 12, noise=2, first=20)
    best = probe_estimate(target, probe, labels, 20, 0)
    assert probe_estimate(target, probe, 100 + labels, 20, 0) == best
    assert abs(probe_estimate(target + 1000, probe + 1000, labels, 20, 0).k - best.k) <= 1


def test_small_clusters_are_not_counted() -> None:
    """One item in a cluster of its own is below one in a hundred of the largest."""
    target, _ = groups_of(2, 150)
    odd = np.zeros((1, 40))
    odd[0, 39] = 2
    probe, labels = groups_of(6, 30, first=20)
    assert probe_estimate(np.concatenate([target, odd]), probe, labels, 4, 0).k == 2


@pytest.mark.parametrize("target", [np.zeros((9, 4)), np.zeros((1, 4)), np.eye(4)[:2]])
def test_hopeless_targets_have_an_estimate(target: np.ndarray) -> None:
    probe, labels = np.repeat(np.eye(4)[:3], 2, 0), np.repeat(np.arange(3), 2)
    assert 1 <= probe_estimate(target, probe, labels, 100, 0).k <= len(target)


def test_the_silhouette_of_one_group_or_single_items_is_least() -> None:
    points = np.random.default_rng(0).normal(size=(6, 2))
    distances = probe_k.distances_of(points)
    assert silhouette(distances, np.zeros(6, int)) == silhouette(distances, np.arange(6)) == -1
    groups = np.array([0, 0, 1, 1, 4, 4])
    assert silhouette(distances, groups) == pytest.approx(silhouette_score(points, groups))


def test_few_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    clusters = Anchored.clusters

    def counted(problem: Anchored, starts: np.ndarray) -> np.ndarray:
        sizes.append(len(starts))
        return clusters(problem, starts)

    monkeypatch.setattr(Anchored, "clusters", counted)
    target, _ = groups_of(15, 12)
    probe, labels = groups_of(12, 12, first=20)
    assert probe_estimate(target, probe, labels, 100, 0).k == 15
    assert len(sizes) <= 40
    assert min(sizes) > 12
    assert max(sizes) <= 112
