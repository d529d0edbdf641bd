"""Metrics learned from pairs and comparisons: the objective written out, and the optimum by other means."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from clusterkit.methods.common.kernel import ENERGY, NEIGHBOURS, kernel_points
from clusterkit.methods.common.logdet import Loss, bounds, learn, pair_loss
from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.sklr import TIMES, WEIGHT, comparison_loss

Array = NDArray[np.float64]


def points_and_pairs(count: int, size: int, seed: int = 0) -> tuple[Array, Array]:
    """Random points, and pairs that contradict each other; some are unknown."""
    rng = np.random.default_rng(seed)
    pairs = np.triu(rng.choice([-1.0, -1.0, 0.0, 1.0], (count, count)), 1)
    return rng.standard_normal((count, size)), pairs + pairs.T


def slow_pair_loss(distances: Array, pairs: Array, upper: float, lower: float, slack: float) -> float:
    total = 0.0
    for a in range(len(pairs)):
        for b in range(a):
            ratio = distances[a, b] / (upper if pairs[a, b] > 0 else lower)
            if (pairs[a, b] > 0 and ratio > 1) or (pairs[a, b] < 0 and ratio < 1):
                total += slack * (ratio - log(ratio) - 1)
    return total


def slow_comparison_loss(distances: Array, pairs: Array) -> float:
    total = 0.0
    for i in range(len(pairs)):
        terms = [
            max(0.0, TIMES * distances[i, j] - distances[i, k]) ** 2
            for j in range(len(pairs))
            for k in range(len(pairs))
            if pairs[i, j] > 0 and pairs[i, k] < 0
        ]
        total += WEIGHT * sum(terms) / max(1, len(terms))
    return total


LOSSES: dict[str, tuple[Callable[[Array], Loss], Callable[[Array, Array], float]]] = {
    "pairs": (lambda pairs: pair_loss(pairs, 2.0, 9.0, 1.5), lambda d, pairs: slow_pair_loss(d, pairs, 2.0, 9.0, 1.5)),
    "comparisons": (comparison_loss, slow_comparison_loss),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_written_out_pair_by_pair(name: str) -> None:
    points, pairs = points_and_pairs(12, 3)
    fast, slow = LOSSES[name]
    distances = squared_distances(points)
    value, slope = fast(pairs)(distances)
    assert value == pytest.approx(slow(distances, pairs), rel=1e-12)
    np.testing.assert_allclose(slope, slope.T, rtol=1e-12)
    for a, b in ((0, 1), (2, 9), (11, 4)):
        # Both orders of a pair change together.
        change = np.zeros_like(distances)
        change[a, b] = change[b, a] = 1e-6
        more, less = slow(distances + change, pairs), slow(distances - change, pairs)
        assert 2 * slope[a, b] == pytest.approx((more - less) / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [2, 40])
def test_the_objective_is_the_one_written_out_and_never_gets_worse(name: str, size: int) -> None:
    points, pairs = points_and_pairs(30, size)
    fast, slow = LOSSES[name]
    before = np.inf
    for steps in (0, 1, 5, 20):
        learned = learn(points, fast(pairs), steps)
        metric = learned.transform @ learned.transform.T
        distances = np.array([[(a - b) @ metric @ (a - b) for b in points] for a in points])
        divergence = np.trace(metric) - np.linalg.slogdet(metric)[1] - size
        assert learned.objective[-1] == pytest.approx(divergence + slow(distances, pairs), rel=1e-9)
        assert learned.objective[-1] <= before
        assert learned.objective == sorted(learned.objective, reverse=True)
        before = learned.objective[-1]
    assert len(learned.objective) > 2


@pytest.mark.parametrize("name", LOSSES)
def test_at_the_optimum_the_metric_is_what_follows_from_it(name: str) -> None:
    points, pairs = points_and_pairs(15, 3)
    loss = LOSSES[name][0](pairs)
    learned = learn(points, loss, 5000, 1e-14)
    slope = loss(squared_distances(points @ learned.transform))[1]
    laplacian = 2 * (np.diag(slope.sum(1)) - slope)
    metric = learned.transform @ learned.transform.T
    np.testing.assert_allclose(metric @ (np.eye(3) + points.T @ laplacian @ points), np.eye(3), atol=1e-4)


def cyclic_projections(points: Array, pairs: Array, upper: float, lower: float, slack: float) -> Array:
    """Bregman projections as of Davis et al. (2007): one pair after another, each with its dual and its slack."""
    metric = np.eye(points.shape[1])
    where = [(a, b) for a in range(len(points)) for b in range(a) if pairs[a, b]]
    dual = dict.fromkeys(where, 0.0)
    bound = {(a, b): upper if pairs[a, b] > 0 else lower for a, b in where}
    for _ in range(3000):
        for pair in where:
            difference, sign = points[pair[0]] - points[pair[1]], float(pairs[pair])
            distance = difference @ metric @ difference
            alpha = min(dual[pair], sign * slack / (slack + 1) * (1 / distance - 1 / bound[pair]))
            beta = sign * alpha / (1 - sign * alpha * distance)
            bound[pair] = slack * bound[pair] / (slack + sign * alpha * bound[pair])
            dual[pair] -= alpha
            moved = metric @ difference
            metric = metric + beta * np.outer(moved, moved)
    return metric


def test_the_metric_is_the_one_that_cyclic_projections_converge_to() -> None:
    points, pairs = points_and_pairs(8, 3)
    expected = cyclic_projections(points, pairs, 2.0, 9.0, 0.7)
    learned = learn(points, pair_loss(pairs, 2.0, 9.0, 0.7), 5000, 1e-14)
    np.testing.assert_allclose(learned.transform @ learned.transform.T, expected, rtol=1e-3, atol=1e-4)


def test_equal_points_and_no_pairs_leave_the_metric_as_it_is() -> None:
    same = np.ones((6, 2))
    for pairs in (np.zeros((6, 6)), np.ones((6, 6)), -np.ones((6, 6))):
        for loss in (pair_loss(pairs, *bounds(same, 0.05), 1.0), comparison_loss(pairs)):
            np.testing.assert_allclose(learn(same, loss).transform, np.eye(2))


def test_bounds_are_distances_that_few_pairs_are_below_and_above() -> None:
    points = points_and_pairs(50, 4)[0]
    low, high = bounds(points, 0.1)
    distances = [((a - b) ** 2).sum() for i, a in enumerate(points) for b in points[:i]]
    assert np.mean(np.array(distances) < low) == pytest.approx(0.1, abs=0.01)
    assert np.mean(np.array(distances) > high) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("count", [40, 150])
def test_kernel_points_have_the_kernel_as_their_products(count: int) -> None:
    points = points_and_pairs(count, 3)[0]
    kernel = np.empty((count, count))
    distances = np.array([[np.linalg.norm(a - b) for b in points] for a in points])
    width = [sorted(row)[min(NEIGHBOURS, count - 1)] for row in distances]
    for a in range(count):
        for b in range(count):
            kernel[a, b] = np.exp(-(distances[a, b] ** 2) / (width[a] * width[b]))
    found = kernel_points(points)
    values = np.linalg.eigvalsh(kernel)
    positive = values[values > 0].sum()
    # What is missing are small eigenvalues, and negative ones: items' widths differ.
    assert ENERGY * positive <= np.trace(found @ found.T) <= positive + 1e-9
    left_out = np.linalg.eigvalsh(kernel - found @ found.T)
    assert left_out.min() == pytest.approx(min(0, values[0]), abs=1e-9)
    assert left_out.max() <= (1 - ENERGY) * positive


def test_equal_items_are_one_kernel_point() -> None:
    found = kernel_points(np.ones((7, 3)))
    np.testing.assert_allclose(found, found[:1].repeat(7, 0), atol=1e-9)
    np.testing.assert_allclose(found @ found.T, 1)
