"""Landmark-based spectral clustering of the items' values; it reads no pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods import LANDMARKS
from clusterkit.methods.common.points import centred, equal_together, k_means
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard
from clusterkit.networks.evening import scaled

NEAREST = 5
"""Landmarks that represent each item."""
ITERATIONS = 5
"""Iterations of the k-means that places the landmarks."""
SMALLEST = 1e-10
"""Smallest eigenvalue, if the largest is 1; smaller ones are zero but for rounding."""


def lsc(problem: Problem) -> Clustering:
    """Cluster by k-means on the rows, scaled to length one, of K eigenvectors (LSC-K of Chen and Cai, AAAI 2011)."""
    seed, k = problem.seed, problem.k
    points = centred(problem.values)

    def cluster() -> NDArray[np.int32]:
        rows = scaled(embedding(representation(points, k, seed), k)[1])
        return k_means(rows, k, seed, problem.title)

    return hard(equal_together(problem, cluster), k)


def representation(points: Array, k: int, seed: int) -> Any:
    """Return the sparse matrix (N, P) that represents points (N, D) by landmarks, with columns scaled by their sums.

    A row holds the Gaussian weights of the point's nearest landmarks, with sum one. Each column is then divided by the
    root of its sum, so that the product with the transpose is a graph whose degrees are one.
    """
    from scipy.sparse import csr_array
    from sklearn.metrics.pairwise import euclidean_distances

    distances = euclidean_distances(points, landmarks(points, k, seed))
    count = min(NEAREST, distances.shape[1])
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    squares = np.take_along_axis(distances, nearest, 1) ** 2
    width = float(distances.mean()) ** 2 or 1.0
    # Subtracting the minimum cancels when rows are normalised, and keeps weights of a remote point from underflow.
    weights = np.exp((squares.min(1, keepdims=True) - squares) / (2 * width))
    weights /= weights.sum(1, keepdims=True)
    starts = np.arange(len(points) + 1) * count
    z = csr_array((weights.ravel(), nearest.ravel(), starts), shape=distances.shape)
    sums = z.sum(0)
    used = sums > 0
    return z[:, used] / np.sqrt(sums[used])


def landmarks(points: Array, k: int, seed: int) -> Array:
    """Return landmarks (P, D), all different: the centres of a short k-means on points (N, D)."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    count = min(max(min(LANDMARKS, len(points) // 2), k + 1), len(np.unique(points, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        method = KMeans(count, n_init=1, max_iter=ITERATIONS, random_state=seed).fit(points)
    centres: Array = method.cluster_centers_
    return centres


def embedding(z: Any, k: int) -> tuple[Array, Array]:
    """Return eigenvalues (M,) and eigenvectors (N, M) of Z Z^T, for sparse Z (N, P), the largest first; M is at most K.

    They follow from those of Z^T Z, which is P x P. The trivial eigenvector, with eigenvalue one and equal entries, is
    left out. If there is no other, as for equal items, the result is one eigenvector of zeros.
    """
    from scipy.linalg import eigh

    product = (z.T @ z).toarray()
    # Subtract it rather than skip it: in a graph of several parts, other eigenvectors also have eigenvalue one.
    trivial = z.sum(0) / np.sqrt(z.shape[0])
    product -= np.outer(trivial, trivial)
    size = len(product)
    eigenvalues, right = eigh(product, subset_by_index=[max(0, size - k), size - 1])
    eigenvalues, right = eigenvalues[::-1], right[:, ::-1]
    nonzero = eigenvalues > SMALLEST
    if not nonzero.any():
        return np.zeros(1), np.zeros((z.shape[0], 1))
    return eigenvalues[nonzero], z @ right[:, nonzero] / np.sqrt(eigenvalues[nonzero])
