"""Constrained spectral clustering: the eigenproblem, and clusters read off rotated indicators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clusterkit.methods.common.affinity import FLOOR, neighbour_affinity
from clusterkit.methods.csp import by_pivots, complement, feasible_cuts

Array = NDArray[np.float64]


def random_pairs(count: int, seed: int) -> Array:
    pairs = np.triu(np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], (count, count)), 1)
    return pairs + pairs.T + np.eye(count)


@pytest.mark.parametrize("k", [2, 5, 29])
@pytest.mark.parametrize("pairs", ["random", "similar", "dissimilar", "two parts"])
def test_cuts_solve_the_eigenproblem_and_satisfy_the_pairs(k: int, pairs: str) -> None:
    affinity = neighbour_affinity(np.random.default_rng(0).standard_normal((30, 4)))
    side = np.arange(30) < 10
    asked = {
        "random": random_pairs(30, 1),
        "similar": np.ones((30, 30)),
        "dissimilar": 2 * np.eye(30) - 1,
        "two parts": np.where(side[:, None] == side, 1.0, -1.0),
    }[pairs]
    cuts = feasible_cuts(affinity, asked, k)
    degree = affinity.sum(1)
    laplacian = np.eye(30) - affinity / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(cuts.laplacian, laplacian, atol=1e-12)
    assert np.abs(laplacian @ cuts.trivial).max() < 1e-12
    assert cuts.vectors.shape[1] <= k - 1
    for number in range(cuts.vectors.shape[1]):
        v, cost = cuts.vectors[:, number], cuts.cost[number]
        residual = laplacian @ v - cuts.eigenvalue[number] * cuts.constraint @ v
        assert np.abs(residual).max() < 1e-8
        assert v @ cuts.constraint @ v > 0
        assert np.linalg.norm(v) == pytest.approx(1)
        assert v @ laplacian @ v == pytest.approx(cost)
    assert (np.diff(cuts.cost) >= 0).all()


def test_the_cheapest_cut_that_satisfies_two_groups_parts_them() -> None:
    affinity = neighbour_affinity(np.random.default_rng(0).standard_normal((30, 4)))
    side = np.arange(30) % 2 == 0
    cuts = feasible_cuts(affinity, np.where(side[:, None] == side, 1.0, -1.0), 2)
    found = by_pivots(np.column_stack([cuts.trivial, cuts.vectors])).argmax(1)
    assert len(set(zip(side.tolist(), found.tolist(), strict=True))) == 2


def test_an_isolated_item_keeps_its_place_in_the_graph() -> None:
    points = np.concatenate([np.zeros((9, 2)), [[1e6, 1e6]]]) + np.random.default_rng(0).standard_normal((10, 2))
    affinity = neighbour_affinity(points)
    assert affinity[-1, :-1].min() >= FLOOR
    assert (affinity.diagonal() == 0).all()
    assert np.isfinite(feasible_cuts(affinity, random_pairs(10, 0), 3).vectors).all()


@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 2**16))
def test_rotated_indicators_are_read_off_whole(k: int, more: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.concatenate([np.arange(k), rng.integers(k, size=more)]))
    rotation = np.linalg.qr(rng.standard_normal((k, k)))[0]
    found = by_pivots(np.eye(k)[cluster] @ rotation).argmax(1)
    assert len(set(zip(cluster.tolist(), found.tolist(), strict=True))) == k


@given(st.integers(2, 12), st.integers(0, 2**16))
def test_the_complement_is_orthonormal_and_orthogonal(count: int, seed: int) -> None:
    vector = np.random.default_rng(seed).standard_normal(count)
    vector /= np.linalg.norm(vector)
    others = complement(vector)
    np.testing.assert_allclose(others.T @ others, np.eye(count - 1), atol=1e-12)
    np.testing.assert_allclose(vector @ others, 0, atol=1e-12)
