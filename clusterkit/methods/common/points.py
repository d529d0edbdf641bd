"""Tools for points that most methods share: k-means, grouping of equal points, distances."""

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.problem import Array, Problem
from clusterkit.networks.evening import Float

log = logging.getLogger("clusterkit")

RESTARTS = 10
"""Starts of k-means, of which the one with the least sum of squares is kept."""


def k_means(points: Array, k: int, seed: int, title: str) -> NDArray[np.int32]:
    """Return the clusters (N,) of scikit-learn's k-means on points (N, D), the best of several starts.

    If fewer than K points differ, there are fewer clusters, which a log line says of the items that `title` names.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters: NDArray[np.int32] = KMeans(min(k, len(points)), n_init=RESTARTS, random_state=seed).fit_predict(
            points
        )
    warn_of_fewer(clusters, k, title)
    return clusters


def warn_of_fewer(clusters: NDArray[np.integer], k: int, title: str) -> None:
    """Log a warning if the clusters (N,) of the items that `title` names are fewer than K."""
    count = len(np.unique(clusters))
    if count < k:
        text = "cluster %s: %d clusters instead of %d, because the method tells no more items apart"
        log.warning(text, title, count, k)


def equal_together(problem: Problem, cluster: Callable[[], NDArray[np.integer]]) -> NDArray[np.int32]:
    """Return the clusters (N,) that `cluster` finds, with items of equal values in their most common cluster.

    If no more than K items differ, each set of equal items is a cluster, and `cluster` is not called.
    """
    points, k = problem.values, problem.k
    same = numbered(digests_of(points))
    count = int(same.max()) + 1
    if count <= k:
        if count < k:
            what = "the features of only %d of %d items" if problem.features else "only %d of %d items"
            log.warning(f"cluster %s: {what} differ, so there are fewer clusters", problem.title, count, len(points))
        return same
    clusters: NDArray[np.int32] = cluster().astype(np.int32)
    if count == len(points):
        return clusters
    votes = np.bincount(same * k + clusters, minlength=count * k).reshape(count, k)
    common: NDArray[np.int32] = votes.argmax(1)[same].astype(np.int32)
    return common


def digests_of(rows: NDArray[np.floating]) -> list[bytes]:
    """Return a digest of each row (N, D), which is the same for equal rows."""
    # Adding zero turns minus zero into zero.
    return [hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest() for row in rows]


def numbered(digests: list[bytes]) -> NDArray[np.int32]:
    """Return for each digest (N,) its number among the different digests, in order of first occurrence."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int32)


def shares_of(members: Iterable[NDArray[np.integer]], kind: type[Float]) -> NDArray[Float]:
    """Return for each pair the share (N, N) of clusterings in which its items are in one of the groups (N,)."""
    members = list(members)
    shares = np.zeros((len(members[0]), len(members[0])), kind)
    for groups in members:
        shares += groups[:, None] == groups
    shares /= kind(len(members))
    return shares


FAR = 1e4
"""Least square of the mean of values far from zero, as a multiple of their variance."""


def centred(values: Array) -> Array:
    """Return values (N, D) less their mean if they are far from zero, else unchanged.

    Distances stay the same, but sums of squares of values far from zero would lose them in rounding.
    """
    mean = values.mean(0)
    if mean @ mean <= FAR * values.var(0).sum():
        return values
    moved: Array = values - mean
    return moved


def squared_distances(points: Array) -> Array:
    """Return the squared distances (N, N) of points (N, D), zero on the diagonal."""
    square = (points**2).sum(1)
    distances = points @ points.T
    distances *= -2
    distances += square[:, None]
    distances += square
    np.maximum(distances, 0, out=distances)
    np.fill_diagonal(distances, 0)
    return distances
