"""Items as points whose inner products are a Gaussian kernel."""

import numpy as np

from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.common.problem import Array

NEIGHBOURS = 100
"""The width of the kernel at an item is the distance to this neighbour (Amid, Gionis and Ukkonen 2016)."""
ENERGY = 0.99
"""Share of the sum of the kernel's eigenvalues that is kept."""


def kernel_points(values: Array) -> Array:
    """Return points (N, R) of values (N, D), so that X X^T is the kernel exp(-|a - b|^2 / (width_a width_b)).

    The smallest eigenvalues, a hundredth of their sum, are left out, and negative ones: widths differ. Items that are
    all equal are one point. Cost: N^2 D + 9 N^3 multiplications.
    """
    from scipy.linalg import eigh

    distances = squared_distances(values)
    width = np.sqrt(np.sort(distances, 1)[:, min(NEIGHBOURS, len(values) - 1)])
    width = width.clip(1e-6 * (width.max() or np.sqrt(distances.max()) or 1))
    found, vectors = eigh(np.exp(-distances / np.outer(width, width)))
    found, vectors = found[::-1].clip(0), vectors[:, ::-1]
    kept = int(np.searchsorted(found.cumsum(), ENERGY * found.sum())) + 1
    points: Array = vectors[:, :kept] * np.sqrt(found[:kept])
    return points
