"""Semi-supervised kernel mean shift, which finds the number of clusters (Anand, Mittal, Tuzel and Meer 2014)."""

import logging

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.kernel import kernel_points
from clusterkit.methods.common.linked import settled_near
from clusterkit.methods.common.logdet import bounds, learn, pair_loss, share_of_metric
from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

log = logging.getLogger("clusterkit")

SLACK = 100.0
"""Weight of the pairs against the divergence from the initial kernel."""
SHARE = 0.01
"""Share of all pairs nearer than the bound of similar pairs, and share farther than the bound of dissimilar pairs."""
NEAR, FAR = 0.05, 1.95
"""Limits of the squared distance of similar and of dissimilar pairs. Those of a Gaussian kernel are below 2."""
SHIFTS = 50
"""Largest number of shifts of the points."""
DEVIATIONS = 3
"""Standard deviations of the Gaussian around an item within its bandwidth."""


def skms(problem: Problem) -> Clustering:
    """Learn a kernel in which similar pairs are near and dissimilar pairs far, and climb the density in its space.

    Items that climb to the same mode are a cluster. Pairs are binarised. The bandwidth at an item is the distance to
    its n-th neighbour, where n is the median number of similar items.
    """
    points, pairs = kernel_points(problem.values), problem.pairs
    low, high = bounds(points, SHARE)
    slack = SLACK * share_of_metric(pairs, points.shape[1]) if problem.alone else SLACK
    learned = learn(points, pair_loss(pairs, min(low, NEAR), max(high, FAR), slack))
    similar = (pairs > 0).sum(1)
    neighbours = int(np.median(similar[similar > 0])) if similar.any() else 1
    moved = points @ learned.transform
    cluster = settled_near(mean_shift(moved, neighbours), moved, problem.links)
    log.info("cluster %s: mean shift finds %d clusters", problem.title, cluster.max() + 1)
    return hard(cluster, int(cluster.max()) + 1)


def mean_shift(points: Array, neighbours: int) -> NDArray[np.int32]:
    """Return the clusters (N,) of points (N, D): those that climb to the same mode.

    Modes nearer than half the median bandwidth are one. If some mode has several points, points alone at their mode
    join the nearest such mode.
    """
    from scipy.sparse.csgraph import connected_components

    distances = squared_distances(points)
    bandwidth = np.sort(distances, 1)[:, min(neighbours, len(points) - 1)]
    bandwidth = bandwidth.clip(1e-9 * (distances.max() or 1))
    modes = climb(points, bandwidth)
    between = squared_distances(modes)
    count, cluster = connected_components(between <= np.median(bandwidth) / 4, directed=False)
    alone = np.bincount(cluster, minlength=count)[cluster] == 1
    if alone.any() and not alone.all():
        cluster[alone] = cluster[~alone][between[np.ix_(alone, ~alone)].argmin(1)]
    numbers: NDArray[np.int32] = np.unique(cluster, return_inverse=True)[1].astype(np.int32)
    return numbers


def climb(points: Array, bandwidth: Array) -> Array:
    """Return the end point of each of the points (N, D), moved repeatedly to a Gaussian-weighted mean of all points.

    The squared `bandwidth` (N,) of a point is the distance at which the Gaussian around it is cut off.
    """
    square, ends = (points**2).sum(1), points
    for _ in range(SHIFTS):
        distances = (ends**2).sum(1)[:, None] + square - 2 * ends @ points.T
        weight = np.exp(-(DEVIATIONS**2) / 2 * distances.clip(0) / bandwidth) * (distances <= bandwidth)
        total = weight.sum(1)
        reached = total > 0
        shifted = ends.copy()
        shifted[reached] = weight[reached] @ points / total[reached, None]
        furthest = ((shifted - ends) ** 2).sum(1).max()
        ends = shifted
        if furthest <= 1e-8 * np.median(bandwidth):
            break
    return ends
