"""Points, as most methods handle them: k-means, equal ones together, distances."""

import hashlib
import logging
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.problem import Array

log = logging.getLogger("clusterkit")

RESTARTS = 10
"""Of k-means, of which the one of the least sum of squares is kept."""


def k_means(points: Array, k: int, seed: int) -> NDArray[np.int32]:
    """Return the clusters (N,) of scikit-learn's k-means on points (N, D), the best of several restarts.

    Where fewer than K points differ, fewer clusters are found.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: NDArray[np.int32] = KMeans(min(k, len(points)), n_init=RESTARTS, random_state=seed).fit_predict(points)
    clusters = len(np.unique(found))
    if clusters < k:
        log.warning("only %d of %d items differ, so there are no more clusters than that", clusters, len(points))
    return found


def equal_together(points: Array, k: int, cluster: Callable[[], NDArray[np.integer]]) -> NDArray[np.int32]:
    """Return the clusters (N,) that `cluster` finds for points (N, D), all equal points in the most common of theirs.

    Where no more than K points differ, `cluster` is not called: what is equal is a cluster.
    """
    same = numbered(digests_of(points))
    count = int(same.max()) + 1
    if count <= k:
        if count < k:
            log.warning("only %d of %d items differ, so there are no more clusters than that", count, len(points))
        return same
    found: NDArray[np.int32] = cluster().astype(np.int32)
    if count == len(points):
        return found
    votes = np.bincount(same * k + found, minlength=count * k).reshape(count, k)
    most: NDArray[np.int32] = votes.argmax(1)[same].astype(np.int32)
    return most


def digests_of(rows: NDArray[np.floating]) -> list[bytes]:
    """Return a digest of each row (N, D); those of equal rows are equal."""
    # Added to zero, minus zero is zero.
    return [hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest() for row in rows]


def numbered(digests: list[bytes]) -> NDArray[np.int32]:
    """Return for each digest (N,) the number of different ones before the first that is equal to it."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int32)


def squared_distances(points: Array) -> Array:
    """Return the squared distances (N, N) of points (N, D); zero on the diagonal."""
    square = (points**2).sum(1)
    out = points @ points.T
    out *= -2
    out += square[:, None]
    out += square
    np.maximum(out, 0, out=out)
    np.fill_diagonal(out, 0)
    return out
