"""Affinities of items, as the weights of a graph."""

import numpy as np

from clusterkit.methods.common.points import centred, squared_distances
from clusterkit.methods.common.problem import Array

NEIGHBOUR = 7
"""The Gaussian at an item is half as wide as the distance to this neighbour, so that few other items are near."""
FLOOR = 1e-6
"""Affinity added to all pairs of items, so that no graph falls apart."""


def neighbour_affinity(values: Array) -> Array:
    """Return affinities (N, N) of values (N, D), positive off the diagonal: Gaussians, narrower where items are denser.

    They follow Zelnik-Manor and Perona (2004).
    """
    distances = squared_distances(centred(values))
    width = np.sqrt(np.sort(distances, 1)[:, min(NEIGHBOUR, len(values) - 1)]) / 2
    width = width.clip(1e-6 * (width.max() or np.sqrt(distances.max()) or 1))
    affinity: Array = np.exp(-distances / np.outer(width, width)) + FLOOR
    np.fill_diagonal(affinity, 0)
    return affinity
