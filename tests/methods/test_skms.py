"""Kernel mean shift: modes that stay where they are, and what climbs to them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from clusterkit.methods.skms import DEVIATIONS, climb, mean_shift

Array = NDArray[np.float64]


def groups(seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(5).repeat(6)
    return 10 * rng.standard_normal((5, 3))[labels] + 0.1 * rng.standard_normal((30, 3)), labels


def slow_shift(place: Array, points: Array, bandwidth: Array) -> Array:
    total, weights = np.zeros(len(place)), 0.0
    for point, reach in zip(points, bandwidth, strict=True):
        distance = ((place - point) ** 2).sum()
        if distance <= reach:
            weight = np.exp(-distance / (2 * (np.sqrt(reach) / DEVIATIONS) ** 2))
            total, weights = total + weight * point, weights + weight
    return total / weights


def test_modes_are_fixed_points_of_the_shift_written_out() -> None:
    points, _ = groups()
    bandwidth = np.full(30, 1.0)
    for mode in climb(points, bandwidth):
        np.testing.assert_allclose(slow_shift(mode, points, bandwidth), mode, atol=1e-3)


def test_groups_are_found_and_counted() -> None:
    points, labels = groups()
    cluster = mean_shift(points, 5)
    assert len(set(zip(labels.tolist(), cluster.tolist(), strict=True))) == 5
    assert cluster.max() == 4


def test_an_item_alone_joins_the_nearest_mode() -> None:
    points, labels = groups()
    far = points[labels == 3].mean(0) + 3
    cluster = mean_shift(np.concatenate([points, far[None]]), 5)
    assert cluster[-1] in cluster[18:24]


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.arange(4.0)[:, None] * 1e6, np.zeros((1, 1))])
def test_points_with_no_density_to_climb_are_clustered_all_the_same(points: Array) -> None:
    cluster = mean_shift(points, 1)
    assert len(cluster) == len(points)
    assert set(cluster.tolist()) == set(range(cluster.max() + 1))
