"""Simple clusterings of a set, from which a search starts, and which a critic learns to tell from the truth."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.critic.embedding import PointSet

LADDER = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50, 60, 72, 86, 100)
"""Numbers of clusters that are tried, each of the larger ones a fifth above the one before."""
NEAREST = (2, 3, 4, 5, 7, 10)
"""Nearest neighbours of a point in the graphs whose components are clusters."""
SMALL = 0.02
"""The share of points below which a component is no cluster, but joins the nearest one."""

Clusters = NDArray[np.int64]


def compact(assignments: Tensor) -> Tensor:
    """Return assignments (P, N) with the clusters of each row numbered from 0, in order of their numbers."""
    rows = [row.unique(return_inverse=True)[1] for row in assignments]
    return torch.stack(rows) if rows else assignments


def starts(points: PointSet, k: int, seed: int) -> Tensor:
    """Return the different clusterings (P, N) of a set into at most K clusters.

    They are those of k-means and of Ward's method at several numbers of clusters, and the components of the graphs of
    the 2 to 10 nearest neighbours.
    """
    x = points.x.double().cpu().numpy()
    near = points.near.cpu().numpy()
    found: dict[bytes, Clusters] = {}
    for clusters in (*_k_means(x, k, seed), *_ward(x, k), *_components(x, near, k)):
        _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
        # Numbered by first occurrence, equal clusterings are equal arrays.
        ranks = np.empty(len(first), np.int64)
        ranks[np.argsort(first)] = np.arange(len(first))
        row = ranks[inverse]
        found[row.tobytes()] = row
    return torch.from_numpy(np.stack(list(found.values()))).to(points.x.device)


def _rungs(count: int, k: int) -> list[int]:
    return [rung for rung in LADDER if rung <= min(k, count)]


def _k_means(x: NDArray[np.float64], k: int, seed: int) -> Iterator[Clusters]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    for rung in _rungs(len(x), k):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            yield KMeans(rung, n_init=2, random_state=(seed + rung) % 2**32).fit_predict(x).astype(np.int64)


def _ward(x: NDArray[np.float64], k: int) -> Iterator[Clusters]:
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(x) < 2:
        return
    tree = linkage(x, "ward")
    for rung in _rungs(len(x), k)[1:]:
        yield fcluster(tree, rung, "maxclust").astype(np.int64)


def _components(x: NDArray[np.float64], near: Clusters, k: int) -> Iterator[Clusters]:
    """Yield the components of graphs, small ones joined to the component of the nearest point of a large one."""
    for count in NEAREST:
        if count > near.shape[1]:
            return
        clusters = components(near[:, :count])
        sizes = np.bincount(clusters)
        large = sizes[clusters] >= max(2, SMALL * len(x))
        if not large.any():
            continue
        if not large.all():
            from scipy.spatial import cKDTree

            _, nearest = cKDTree(x[large]).query(x[~large])
            clusters[~large] = clusters[large][nearest]
        if len(np.unique(clusters)) <= k:
            yield clusters


def components(near: Clusters, assignment: Clusters | None = None) -> Clusters:
    """Return the component (N,) of each point in the graph that joins it to its neighbours (N, M).

    With an assignment (N,), edges between its clusters are left out.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, degree = near.shape
    rows, columns = np.repeat(np.arange(count), degree), near.ravel()
    if assignment is not None:
        inside = assignment[rows] == assignment[columns]
        rows, columns = rows[inside], columns[inside]
    graph = coo_array((np.ones(len(rows)), (rows, columns)), (count, count))
    found: Clusters = connected_components(graph.tocsr(), directed=False)[1].astype(np.int64)
    return found
