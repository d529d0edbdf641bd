"""Locality-preserving factorisation: the objective, what it finds, and data that leave it little to find."""

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import eye_array
from scipy.sparse.linalg import splu

from clusterkit.methods.lpnmf import FLOOR, factors, laplacian, next_v, shares, smoothness
from tests.problems import case

Array = np.ndarray


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def slow_objective(x: Array, edges: list[tuple[int, int]], weight: float, u: Array, v: Array) -> float:
    total = 0.0
    for j in range(len(x)):
        for i in range(x.shape[1]):
            y = sum(u[i, k] * v[j, k] for k in range(u.shape[1]))
            total += y - x[j, i] + (x[j, i] * log(x[j, i] / y) if x[j, i] > 0 else 0.0)
    for one, other in edges:
        for a, b in zip(v[one], v[other], strict=True):
            total += weight / 2 * (a * log(a / b) + b * log(b / a))
    return total


def slow_edges(points: Array) -> list[tuple[int, int]]:
    """The pairs of points one of which is among the five that are nearest to the other."""
    edges = set()
    for one in range(len(points)):
        others = (other for other in range(len(points)) if other != one)
        order = sorted((sum((points[one] - points[other]) ** 2), other) for other in others)
        edges |= {(min(one, other), max(one, other)) for _, other in order[:5]}
    return sorted(edges)


@pytest.mark.parametrize("weight", [0.0, 0.3, 30.0])
@pytest.mark.parametrize("k", [2, 7])
def test_the_objective_is_the_papers_and_never_gets_worse(weight: float, k: int) -> None:
    rng = np.random.default_rng(k)
    points = rng.random((30, 5)) * (rng.random((30, 5)) < 0.7)
    x = shares(points)
    edges = slow_edges(points)
    before = np.inf
    count = 0
    for u, v, objective in factors(x, laplacian(points), weight, k, 0):
        np.testing.assert_allclose(u.sum(0), 1)
        assert u.min() >= 0
        assert v.min() >= FLOOR
        slow = slow_objective(x, edges, weight, u, v)
        assert objective == pytest.approx(slow, rel=1e-9)
        assert slow <= before + 1e-9 * abs(before) or before == np.inf
        before = slow
        count += 1
    assert count > 3, "or the test tells little"


def test_a_step_that_is_too_far_is_shortened() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((30, 2))
    lap = laplacian(points)
    solve = splu((eye_array(30) + 3 * lap).tocsc()).solve
    parts = 10 ** rng.uniform(-6, 0, (30, 400))
    full = solve(parts)
    # About as good as the full step, which is near to the best but is not it.
    v = full * rng.uniform(0.99, 1.01, full.shape)
    found = next_v(v, parts, lap, 3.0, solve)
    before, far, after = (slow_bound(points, parts, step) for step in (v, full, found))
    worse = far > before
    assert 20 < worse.sum() < 380, "or the test tells little"
    assert (after <= before).all()
    assert (after[worse] < before[worse]).mean() > 0.5, "a shorter step gains more often than not"
    np.testing.assert_allclose(found[:, ~worse], full[:, ~worse])


def slow_bound(points: Array, parts: Array, v: Array) -> Array:
    cost = (v - parts * np.log(v)).sum(0)
    for one, other in slow_edges(points):
        cost += 3 / 2 * (v[one] - v[other]) * np.log(v[one] / v[other])
    return cost


@given(st.integers(1, 25), st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_objective_never_gets_worse_for_any_sizes(count: int, features: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 1, (count, features)).round(1)
    x = shares(points)
    np.testing.assert_allclose(x.sum(1), 1)
    history = [objective for *_, objective in factors(x, laplacian(points), smoothness(x), k, seed)]
    assert np.isfinite(history).all()
    assert (np.diff(history) <= 1e-9 * np.abs(history[:-1]) + 1e-9).all()


def test_smoothness_does_not_hang_on_the_unit_of_the_values() -> None:
    points = np.random.default_rng(0).random((30, 6))
    np.testing.assert_allclose(shares(255 * points), shares(points))
    binary = np.eye(8).repeat(3, axis=1)
    assert smoothness(shares(binary)) == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(12, 3),
        torch.full((12, 3), 0.4),
        torch.full((12, 3), -2.0),
        torch.cat([noise(11, 3), torch.full((1, 3), 1e6)]),
        torch.cat([noise(11, 3), torch.zeros(1, 3)]),
        noise(3, 4).repeat(8, 1),
        noise(6, 1),
        noise(1, 3),
    ],
    ids=["zeros", "constant", "negative", "far-off", "blank", "duplicates", "one-feature", "one-item"],
)
def test_little_to_find_is_clustered_all_the_same(points: torch.Tensor, tmp_path: Path) -> None:
    result = case("lpnmf", points, None, 4, tmp_path).clustered()
    assert result.cluster.shape == (len(points),)
    assert ((result.cluster >= 0) & (result.cluster < 4)).all()
    assert np.isfinite(result.prob).all()
