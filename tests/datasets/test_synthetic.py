from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN, KMeans

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import UsageError
from clusterkit.metrics.clustering import accuracy

COUNTS = {"blobs": 5, "anisotropic": 3, "moons": 2, "circles": 2}


@pytest.mark.parametrize("shape", COUNTS)
def test_shapes_hold_600_points_in_clusters_of_equal_size(shape: str) -> None:
    first, second = (load_dataset(f"synthetic:{shape}", Path("nowhere")) for _ in range(2))
    points = first.union()
    assert (first.kind, first.shape, points.images.dtype) == (Kind.VECTORS, (2,), torch.float32)
    assert torch.bincount(points.labels).tolist() == [600 // COUNTS[shape]] * COUNTS[shape]
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("shape", ["moons", "circles"])
def test_moons_and_circles_are_connected_and_apart(shape: str) -> None:
    points = load_dataset(f"synthetic:{shape}", Path("nowhere")).union()
    clusters = DBSCAN(eps=0.15).fit_predict(points.images.numpy())
    assert accuracy(clusters, points.labels.numpy()) > 0.98


@pytest.mark.parametrize(("shape", "low", "high"), [("blobs", 0.99, 1), ("anisotropic", 0.3, 0.8)])
def test_kmeans_finds_blobs_and_not_oblique_clusters(shape: str, low: float, high: float) -> None:
    points = load_dataset(f"synthetic:{shape}", Path("nowhere")).union()
    clusters = KMeans(COUNTS[shape], n_init=4, random_state=0).fit_predict(points.images.numpy())
    assert low <= accuracy(clusters, points.labels.numpy()) <= high


def test_a_shape_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="choose synthetic: one of blobs"):
        load_dataset("synthetic:spirals", Path("nowhere"))


@pytest.mark.parametrize("name", ["blobs_bg", "blobs_eval", "anisotropic_eval", "moons_eval", "circles_eval"])
def test_many_sets_are_subsets_of_two_to_nine_clusters(name: str) -> None:
    sets = load_dataset(name, Path("nowhere")).subsets
    counts = {len(subset.labels.unique()) for subset in sets}
    assert counts == (set(range(2, 10)) if name.startswith(("blobs", "anisotropic")) else {2})
    assert {len(subset) for subset in sets} == {200}
    assert len({subset.name for subset in sets}) == len(sets) == (20 if name == "blobs_bg" else 50)
    sizes = [torch.unique(subset.labels, return_counts=True)[1] for subset in sets]
    assert all(size.max() - size.min() <= 1 for size in sizes)


def test_the_blobs_of_many_sets_can_be_told_apart() -> None:
    found = []
    for subset in load_dataset("blobs_eval", Path("nowhere")).subsets[:10]:
        points, labels = subset.images.numpy(), subset.labels.numpy()
        centres = np.stack([points[labels == label].mean(0) for label in np.unique(labels)])
        nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
        found.append(accuracy(nearest, labels))
    assert np.mean(found) > 0.98


def test_sets_to_learn_from_and_to_test_with_differ() -> None:
    learned, tested = (load_dataset(name, Path("nowhere")).union().images for name in ("blobs_bg", "blobs_eval"))
    assert not (learned[:, None] == tested[None, :2000]).all(2).any()
