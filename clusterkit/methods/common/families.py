"""Consensus of families of clusterings of points into K groups: how often they put two items together."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common import sample
from clusterkit.methods.common.points import digests_of, numbered, shares_of
from clusterkit.methods.common.problem import Array
from clusterkit.metrics.k_estimates import linkage_tree
from clusterkit.networks.evening import scaled

DIMENSIONS = (32, 64, 128)
"""Numbers of principal components. Which is best depends on the set, and no rule without labels tells."""
NEIGHBOURS = (5, 10, 20)
"""Nearest neighbours to which an item moves."""
STEPS = (5, 20)
"""Steps by which items move to the means of their neighbours."""
SCALE = 7
"""The Gaussian at an item is half as wide as the distance to this neighbour."""
SHRUNK = 0.1
"""Share of the identity in the covariance within groups."""
ROUNDS = 20
"""Largest number of rounds in which groups and the covariance within them follow each other."""
DECISIVE = 1.5
"""Average linkage is chosen where neighbours tell its groups this many times as well as those of the other clusterings.
On photos it is 0.98 to 1.08 times as well, and on far-off groups of 1000 to 10 items more than twice."""
STARTS = 3
"""Starts of k-means in a clustering."""
TINY = 1e-12


def families(z: Array, k: int, seed: int) -> NDArray[np.float32]:
    """Return for each pair the share (N, N) of clusterings in which its two items are in one group.

    `z` (N, D) are points whose directions from their mean count, and `k` is the number of groups. Each clustering is
    of points that moved to their neighbours, which keeps the distances of whole groups, as k-means does, and closes
    the gaps within a group, as a graph of neighbours does. Half of the clusterings start from k-means, the others from
    Ward's linkage, which finds groups of unequal sizes. Both rather part a group of a thousand items than find one of
    ten; where average linkage is DECISIVE for such groups, it stands alone. Equal rows are one item. Time is O(N^2 D),
    memory 24 N^2 bytes.
    """
    same = numbered(digests_of(z))
    shares: NDArray[np.float32] = (same[:, None] == same).astype(np.float32)
    rows = z[np.unique(same, return_index=True)[1]]
    if len(rows) <= max(k, 2):
        return shares
    shares = shares_of(clusterings(rows, k, seed), np.float32)
    graph, unequal = by_average(rows, k, seed)
    if told(graph, unequal) > DECISIVE * told(graph, cut(shares, k)):
        shares = (unequal[:, None] == unequal).astype(np.float32)
    return shares if len(rows) == len(z) else shares[np.ix_(same, same)]


def cut(shares: NDArray[np.floating], k: int) -> NDArray[np.int32]:
    """Return the groups (N,) that average linkage of `shares` (N, N) leaves when at most K are left.

    Items that are in one group in all clusterings stay together.
    """
    from scipy.cluster.hierarchy import fcluster

    if len(shares) < 2:
        return np.zeros(len(shares), np.int32)
    tree = linkage_tree(shares)
    # SciPy undoes merges at equal heights together, so each merge gets its own height.
    tree[:, 2] = np.where(tree[:, 2] > TINY, np.arange(1, len(tree) + 1), 0)
    groups: NDArray[np.int32] = fcluster(tree, k, "maxclust").astype(np.int32) - 1
    return groups


def memberships(shares: NDArray[np.floating], groups: NDArray[np.integer], k: int) -> NDArray[np.float32]:
    """Return the probability (N, K) of each group: the mean share of an item with the group's items, of sum one."""
    member = np.eye(k, dtype=np.float32)[groups]
    means = shares @ member / member.sum(0).clip(1)
    prob: NDArray[np.float32] = (means / means.sum(1, keepdims=True)).astype(np.float32)
    return prob


def clusterings(z: Array, k: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield groups (N,) of different points z (N, D), at most K of them."""
    components = principal(z, min(max(DIMENSIONS), len(z) - 1))
    for dimensions in sorted({min(dimensions, components.shape[1]) for dimensions in DIMENSIONS}):
        points = scaled(components[:, :dimensions], TINY)
        nearest = None if len(z) <= sample.LARGEST else nearest_of(points, max(NEIGHBOURS))
        for neighbours in sorted({min(neighbours, len(z) - 1) for neighbours in NEIGHBOURS}):
            graph = neighbour_graph(points, neighbours, nearest)
            moved = points
            for step in range(1, max(STEPS) + 1):
                moved = scaled(moved + graph @ moved, TINY)
                if step in STEPS:
                    base = principal(moved, min(dimensions, 64))
                    yield whitened(base, by_k_means(base, k, seed))
                    yield whitened(base, by_ward(base, k, seed))


def by_average(z: Array, k: int, seed: int) -> tuple[Any, NDArray[np.int64]]:
    """Return the graph (N, N) of neighbours of points z (N, D), and the groups (N,) that average linkage finds in it.

    The points move farthest to their most neighbours, which leaves hardly anything between groups that have a gap.
    """
    from scipy.cluster.hierarchy import average

    moved = scaled(principal(z, DIMENSIONS[1]), TINY)
    graph = neighbour_graph(moved, min(max(NEIGHBOURS), len(z) - 1))
    for _ in range(max(STEPS)):
        moved = scaled(moved + graph @ moved, TINY)
    return graph, by_linkage(average, moved, k, seed)


def told(graph: Any, groups: NDArray[np.integer]) -> float:
    """Return how much of the entropy of groups (N,) the group of a neighbour tells, from 0 to 1.

    It is 1 where no edge of the graph (N, N) joins two groups, whatever their sizes.
    """
    member = np.eye(groups.max() + 1)[groups]
    joint = member.T @ (graph @ member)
    joint /= joint.sum()
    own, other = joint.sum(1), joint.sum(0)
    independent = np.outer(own, other)
    known = joint > 0
    entropy = -float((own[own > 0] * np.log(own[own > 0])).sum())
    return float((joint[known] * np.log(joint[known] / independent[known])).sum()) / max(entropy, TINY)


def principal(points: Array, dimensions: int) -> Array:
    """Return the first principal components (N, M) of points (N, D), at most `dimensions`."""
    from scipy.linalg import eigh

    points = points - points.mean(0)
    size = min(points.shape)
    chosen = [size - min(dimensions, size), size - 1]
    if points.shape[1] > len(points):
        values, vectors = eigh(points @ points.T, subset_by_index=chosen)
        components: Array = vectors * np.sqrt(values.clip(0))
    else:
        components = points @ eigh(points.T @ points, subset_by_index=chosen)[1]
    return components[:, ::-1]


def neighbour_graph(points: Array, neighbours: int, found: tuple[Array, NDArray[np.int64]] | None = None) -> Any:
    """Return the sparse weights (N, N) of each item's neighbours, with sum one, Gaussian in their distance.

    The Gaussian is narrower where items are denser (Zelnik-Manor and Perona 2004), and links count both ways. `found`
    are the distances and positions of at least as many nearest items, as of `nearest_of`.
    """
    from scipy.sparse import csr_array, diags_array

    distances, nearest = (part[:, :neighbours] for part in found or nearest_of(points, neighbours))
    width = distances[:, min(SCALE, neighbours) - 1].clip(TINY) / 2
    weights = np.exp(-(distances**2) / (width[:, None] * width[nearest]))
    starts = np.arange(len(points) + 1) * neighbours
    graph = csr_array((weights.ravel().astype(points.dtype), nearest.ravel(), starts), shape=(len(points), len(points)))
    graph = graph + graph.T
    return diags_array(1 / graph.sum(1).clip(TINY)) @ graph


def nearest_of(points: Array, count: int) -> tuple[Array, NDArray[np.int64]]:
    """Return the distances and the positions (N, M) of the nearest other points of each of points (N, D)."""
    from sklearn.neighbors import NearestNeighbors

    distances, nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points).kneighbors()
    return distances, nearest


def by_k_means(points: Array, k: int, seed: int) -> NDArray[np.int64]:
    """Return the groups (N,) of k-means, the best of a few starts."""
    return fitted(points, k, n_init=STARTS, random_state=seed)


def by_ward(points: Array, k: int, seed: int) -> NDArray[np.int64]:
    """Return the groups (N,) of Ward's linkage."""
    from scipy.cluster.hierarchy import ward

    return by_linkage(ward, points, k, seed)


def by_linkage(linkage: Callable[[Array], Array], points: Array, k: int, seed: int) -> NDArray[np.int64]:
    """Return the groups (N,) of a linkage of points (N, D), at most K of them.

    Of a large set, a random sample is linked, and the others are in the group of their nearest point in it.
    """
    from scipy.cluster.hierarchy import fcluster
    from sklearn.metrics import pairwise_distances_argmin

    chosen = sample.sampled(len(points), seed, sample.compared(len(points), k))
    groups: NDArray[np.int64] = fcluster(linkage(points[chosen]), k, "maxclust").astype(np.int64) - 1
    return groups if len(chosen) == len(points) else groups[pairwise_distances_argmin(points, points[chosen])]


def whitened(points: Array, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups (N,) that k-means keeps when the covariance within groups is that of a ball.

    From given groups (N,), the covariance and the groups follow each other until nothing changes.
    """
    for _ in range(ROUNDS):
        used = np.unique(groups)
        centres = np.stack([points[groups == group].mean(0) for group in used])
        rest = points - centres[np.searchsorted(used, groups)]
        within = rest.T @ rest / len(points)
        ball = np.trace(within) / len(within)
        within = (1 - SHRUNK) * within + (SHRUNK * ball + TINY) * np.eye(len(within))
        values, vectors = np.linalg.eigh(within)
        matrix = vectors / np.sqrt(values)
        before, groups = groups, fitted(points @ matrix, len(used), init=centres @ matrix, n_init=1)
        if (groups == np.searchsorted(used, before)).all():
            break
    return groups


def fitted(points: Array, k: int, **start: Any) -> NDArray[np.int64]:
    """Return the groups (N,) of scikit-learn's k-means."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        groups: NDArray[np.int64] = KMeans(k, **start).fit_predict(points).astype(np.int64)
    return groups
