"""Points whose inner products are a Gaussian kernel of items."""

import numpy as np

from clusterkit.methods.common.points import centred, squared_distances
from clusterkit.methods.common.problem import Array

NEIGHBOURS = 100
"""The kernel at an item is as wide as the distance to this neighbour (Amid, Gionis and Ukkonen 2016)."""
ENERGY = 0.99
"""Share of the sum of the kernel's eigenvalues that is kept."""


def kernel_points(values: Array) -> Array:
    """Return points (N, R) of values (N, D), so that X X^T is the kernel exp(-|a - b|^2 / (width_a width_b)).

    The smallest eigenvalues, a hundredth of their sum, are left out, as are negative ones, which unequal widths cause.
    Items that are all equal are one point.
    """
    from scipy.linalg import eigh

    distances = squared_distances(centred(values))
    width = np.sqrt(np.sort(distances, 1)[:, min(NEIGHBOURS, len(values) - 1)])
    width = width.clip(1e-6 * (width.max() or np.sqrt(distances.max()) or 1))
    eigenvalues, vectors = eigh(np.exp(-distances / np.outer(width, width)))
    eigenvalues, vectors = eigenvalues[::-1].clip(0), vectors[:, ::-1]
    rank = int(np.searchsorted(eigenvalues.cumsum(), ENERGY * eigenvalues.sum())) + 1
    points: Array = vectors[:, :rank] * np.sqrt(eigenvalues[:rank])
    return points
