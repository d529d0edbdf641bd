"""Clusterings of features with scikit-learn alone, to compare the methods with."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.networks.evening import scaled

Array = NDArray[np.float64]
Clusters = NDArray[np.integer[Any]]
TINY = 1e-12
"""Length of the shortest row that is scaled to length one."""


@dataclass(frozen=True)
class Points:
    """The features `target` (N, D) to cluster, and those of the labelled set, `source` (M, D) and `labels` (M,).

    Without a labelled set, `source` and `labels` are None.
    """

    target: Array
    source: Array | None = None
    labels: NDArray[Any] | None = None


def gentle(points: Points, k: int, shrinkage: float = 0.5) -> Array:
    """Return the target (N, min(4 K, 64, N, D)) under a gentle metric, in rows of length one.

    The metric is the inverse of the covariance within the labelled classes, shrunk towards a multiple of the identity;
    without a labelled set it is the identity. The principal components of the target are kept.
    """
    x = points.target
    if points.source is not None and points.labels is not None:
        centred = points.source.copy()
        for label in np.unique(points.labels):
            centred[points.labels == label] -= centred[points.labels == label].mean(0)
        within = centred.T @ centred / len(centred)
        scale = np.trace(within) / len(within)
        values, vectors = np.linalg.eigh((1 - shrinkage) * within + shrinkage * scale * np.eye(len(within)))
        x = x @ (vectors / np.sqrt(values))
    left, values, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    count = min(4 * k, 64, len(values))
    return scaled(left[:, :count] * values[:count], TINY)


def k_means(x: Array, k: int, seed: int) -> Clusters:
    from sklearn.cluster import KMeans

    clusters: Clusters = KMeans(k, n_init=10, random_state=seed).fit_predict(x)
    return clusters


def spectral(x: Array, k: int, seed: int) -> Clusters:
    """Cluster the graph of ten nearest neighbours."""
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=min(10, len(x)), random_state=seed)
    with warnings.catch_warnings():
        # Groups that lie apart are no fault.
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        clusters: Clusters = model.fit_predict(x)
    return clusters


def ward(x: Array, k: int) -> Clusters:
    """Merge the clusters whose squared distances to their means grow least, until K are left."""
    from sklearn.cluster import AgglomerativeClustering

    clusters: Clusters = AgglomerativeClustering(k).fit_predict(x)
    return clusters


YARDSTICKS: dict[str, Callable[[Points, int, int], Clusters]] = {
    "kmeans": lambda points, k, seed: k_means(points.target, k, seed),
    "kmeans-metric": lambda points, k, seed: k_means(gentle(points, k), k, seed),
    "spectral": lambda points, k, seed: spectral(points.target, k, seed),
    "agglomerative": lambda points, k, seed: ward(scaled(points.target, TINY), k),
}
"""By name, the function that clusters points into K clusters with a seed."""
