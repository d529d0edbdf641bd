"""Landmark-based spectral clustering: the eigenproblem, what it finds, and data that leave it little to find."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.methods.lsc import embedding, representation
from clusterkit.metrics.clustering import accuracy
from tests.methods.test_methods import separated
from tests.problems import case


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_embedding_solves_the_eigenproblem() -> None:
    points = np.random.default_rng(0).random((30, 4))
    z = representation(points, 5, 0)
    values, vectors = embedding(z, 5)
    assert vectors.shape == (30, 5)
    graph = z.toarray() @ z.toarray().T
    assert np.abs(graph @ vectors - vectors * values).max() < 1e-8
    assert np.abs(vectors.T @ vectors - np.eye(5)).max() < 1e-8
    every = np.linalg.eigvalsh(graph)[::-1]
    assert every[0] == pytest.approx(1)
    np.testing.assert_allclose(values, every[1:6], atol=1e-10)
    assert np.abs(vectors.sum(0)).max() < 1e-8, "the trivial one, the same for all items, is left out"


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_degrees_are_one(count: int, features: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 1, (count, features)).round(1)
    z = representation(points, k, seed).toarray()
    assert z.min() >= 0
    np.testing.assert_allclose((z @ z.T).sum(1), 1)
    assert ((z > 0).sum(1) <= 5).all()
    values, vectors = embedding(representation(points, k, seed), k)
    assert vectors.shape == (count, len(values))
    assert 1 <= len(values) <= k


def test_weights_fall_with_the_distance_as_a_gaussian() -> None:
    points = np.arange(6.0)[:, None]
    z = representation(points, 5, 0).toarray()
    distances = np.abs(points - points.T)
    # Each point is its own landmark, and but for the scale of the columns a row has a sum of one.
    for row, distance in zip(z * z.sum(0), distances, strict=True):
        expected = np.exp(-(np.sort(distance)[:5] ** 2) / (2 * distances.mean() ** 2))
        np.testing.assert_allclose(np.sort(row)[:0:-1], expected / expected.sum())


@pytest.mark.parametrize("seed", range(5))
def test_separated_groups_are_found(seed: int, tmp_path: Path) -> None:
    asked = separated(tmp_path).by("lsc").having(seed=seed)
    result = asked.clustered()
    assert accuracy(result.cluster, np.arange(120) % 4) == 1.0
    np.testing.assert_array_equal(asked.clustered().cluster, result.cluster)


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(12, 3),
        torch.full((12, 3), 0.4),
        torch.cat([noise(11, 3), torch.full((1, 3), 1e6)]),
        noise(3, 4).repeat(8, 1),
        noise(6, 1),
        noise(1, 3),
    ],
    ids=["zeros", "constant", "far-off", "duplicates", "one-feature", "one-item"],
)
def test_little_to_find_is_clustered_all_the_same(points: torch.Tensor, tmp_path: Path) -> None:
    result = case("lsc", points, None, 4, tmp_path).clustered()
    assert result.cluster.shape == (len(points),)
    assert ((result.cluster >= 0) & (result.cluster < 4)).all()
    assert np.isfinite(result.prob).all()
