"""The number of groups in a set of vectors, by communities of graphs of neighbours."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.floating]
Groups = NDArray[np.int64]

LARGEST = 4000
"""Largest number of items in a graph. Of a larger set, as many random items are used."""
RESOLUTIONS = np.geomspace(0.25, 8, 11)
"""The resolutions of modularity among which the one that fits its own groups is sought."""
SHARE = 0.35
"""The share of the resolution that fits a random graph of groups. Neighbours of neighbours are neighbours in a graph of
points, which a random graph does not have, so that its resolution would split every group."""
SMALLEST = 3
"""Groups of fewer items do not count: any two items may be each other's nearest."""
DIMENSIONS = 32, 64
"""The numbers of principal components in which neighbours are sought. Few lose small groups, many add noise."""
SCALE = 7
"""The distance to this neighbour is the unit of distance at an item."""
PASSES = 20
"""Largest number of passes over all items before groups are joined."""


def count(z: Array, seed: int, share: float = SHARE) -> dict[str, int]:
    """Return estimates of the number of groups of `z` (N, D), rows of length one, and their `communities`, the best.

    Each graph of neighbours gives one estimate (`count_communities`): a graph with local scaling of 5 neighbours
    (Zelnik-Manor and Perona 2004) and one of the shared among 10 neighbours, each on the rows projected to 32 and to 64
    principal components. `communities` is their geometric mean. Equal rows count once, and the order of the rows does
    not matter. Time is O(N^2).
    """
    points = distinct(z, seed)
    if len(points) <= SMALLEST:
        return {"communities": 1}
    estimates = {}
    for dimensions in DIMENSIONS:
        projected = projection(points, dimensions)
        estimates[f"scaled-{dimensions}"] = count_communities(scaled_graph(projected, 5), seed, share)
        estimates[f"shared-{dimensions}"] = count_communities(shared_graph(projected, 10), seed, share)
    best = round(float(np.exp(np.mean(np.log(list(estimates.values()))))))
    return {**estimates, "communities": best}


def distinct(z: Array, seed: int) -> Array:
    """Return the different rows of z (N, D), at most LARGEST, in an order that does not depend on theirs."""
    points: Array = np.unique(z.astype(np.float32).round(6), axis=0)
    if len(points) > LARGEST:
        points = points[np.sort(np.random.default_rng(seed).permutation(len(points))[:LARGEST])]
    return points.astype(np.float64)


def projection(points: Array, dimensions: int) -> Array:
    """Return points (N, D) projected to their first principal components, as rows (N, at most D) of length one."""
    from scipy.linalg import eigh

    centred = points - points.mean(0)
    wide = centred.shape[1] > len(centred)
    square = centred @ centred.T if wide else centred.T @ centred
    first = max(0, len(square) - dimensions)
    values, vectors = eigh(square, subset_by_index=[first, len(square) - 1])
    kept = vectors[:, values > 1e-9 * values[-1]]
    projected = kept * np.sqrt(values[values > 1e-9 * values[-1]]) if wide else centred @ kept
    rows: Array = projected / np.linalg.norm(projected, axis=1, keepdims=True).clip(1e-12)
    return rows


def neighbours(points: Array, number: int) -> tuple[Groups, Array]:
    """Return the nearest other points (N, M) of each of the points (N, D), nearest first, and their squared distances.

    M is `number`, or N - 1 if that is smaller.
    """
    number = min(number, max(2, len(points) // 6), len(points) - 1)
    distances = (2 - 2 * points @ points.T).clip(0)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, number - 1, axis=1)[:, :number]
    near = np.take_along_axis(distances, nearest, 1)
    order = np.argsort(near, axis=1, kind="stable")
    return np.take_along_axis(nearest, order, 1), np.take_along_axis(near, order, 1)


def sparse(nearest: Groups, weights: Array) -> "csr_matrix":
    """Return the graph (N, N) that joins point i to its neighbours `nearest[i]` by `weights` (N, M)."""
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(nearest)), nearest.shape[1])
    return csr_matrix((weights.ravel(), (rows, nearest.ravel())), shape=(len(nearest),) * 2)


def scaled_graph(points: Array, number: int, scale: int = SCALE) -> "csr_matrix":
    """Return the graph (N, N) of `number` neighbours of points (N, D), weighted by Gaussians of local width."""
    nearest, distances = neighbours(points, number)
    width = np.sqrt(distances[:, min(scale, distances.shape[1]) - 1]).clip(1e-9)
    graph = sparse(nearest, np.exp(-distances / (width[:, None] * width[nearest])))
    return graph.maximum(graph.T).tocsr()


def shared_graph(points: Array, number: int) -> "csr_matrix":
    """Return the graph (N, N) of `number` neighbours of points (N, D), weighted by the share of common neighbours.

    The share is Jaccard's, of the sets of neighbours of both points, each with the point itself.
    """
    from scipy.sparse import identity

    nearest, _ = neighbours(points, number)
    joined = sparse(nearest, np.ones(nearest.shape))
    sets = joined + identity(len(points), format="csr")
    common = (sets @ sets.T).multiply(joined.maximum(joined.T)).tocsr()
    common.data /= 2 * (nearest.shape[1] + 1) - common.data
    return common


def count_communities(graph: "csr_matrix", seed: int, share: float = SHARE) -> int:
    """Return the number of communities of a graph (N, N) at the resolution that fits them.

    Groups by modularity at resolution r are the most likely ones of a planted partition with (w_in - w_out) / (log w_in
    - log w_out) = r, where w_in and w_out are the edges within and between groups, as shares of those expected by
    degree (Newman 2016, Phys. Rev. E 94, 052315). The result is the number of groups where r is `share` of what its own
    groups give, interpolated between RESOLUTIONS; communities of fewer than SMALLEST items do not count.
    """
    before: tuple[float, float] | None = None
    number = 0.0
    for resolution in RESOLUTIONS:
        groups = communities(graph, float(resolution), seed)
        number = float(np.log(max(1, (np.bincount(groups) >= SMALLEST).sum())))
        fitting = share * fitting_resolution(graph, groups)
        excess = float(np.log(resolution) - np.log(max(fitting, 1e-6)))
        if excess > 0:
            if before is not None:
                weight = excess / (excess - before[1])
                number = weight * before[0] + (1 - weight) * number
            break
        before = number, excess
    return round(float(np.exp(number)))


def fitting_resolution(graph: "csr_matrix", groups: Groups) -> float:
    """Return the resolution at which groups (N,) of a graph (N, N) are the most likely ones; 0 for a single group."""
    degree = np.asarray(graph.sum(1)).ravel()
    total = degree.sum()
    entries = graph.tocoo()
    within = entries.data[groups[entries.row] == groups[entries.col]].sum()
    expected = (np.bincount(groups, degree) ** 2).sum() / total
    if total - expected < 1e-9 * total:
        return 0.0
    dense, thin = within / expected, max((total - within) / (total - expected), 1e-6)
    return float((dense - thin) / np.log(dense / thin)) if dense > thin else 0.0


def communities(graph: "csr_matrix", resolution: float, seed: int) -> Groups:
    """Return groups (N,), from 0, of large modularity of a symmetric graph (N, N), by Louvain's method.

    Items move to the group of a neighbour while that raises the modularity; then groups become items (Blondel et al.
    2008).
    """
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    degree = np.asarray(graph.sum(1)).ravel()
    groups = np.arange(graph.shape[0])
    while True:
        count = graph.shape[0]
        moved = improved(graph, degree, resolution, rng)
        names, moved = np.unique(moved, return_inverse=True)
        groups = moved[groups]
        if len(names) == count:
            return groups
        members = csr_matrix((np.ones(count), (moved, np.arange(count))), shape=(len(names), count))
        graph, degree = (members @ graph @ members.T).tocsr(), members @ degree


def improved(graph: "csr_matrix", degree: Array, resolution: float, rng: np.random.Generator) -> Groups:
    """Return groups (N,) of a graph (N, N) after passes in which items move to the best group of a neighbour."""
    count = graph.shape[0]
    start, ends, weights = graph.indptr.tolist(), graph.indices.tolist(), graph.data.tolist()
    own, group, total = degree.tolist(), list(range(count)), degree.tolist()
    factor = resolution / max(sum(own), 1e-12)
    for _ in range(PASSES):
        moves = 0
        for item in rng.permutation(count).tolist():
            old = group[item]
            links = {old: 0.0}
            for edge in range(start[item], start[item + 1]):
                if ends[edge] != item:
                    other = group[ends[edge]]
                    links[other] = links.get(other, 0.0) + weights[edge]
            total[old] -= own[item]
            best, most = old, links[old] - factor * own[item] * total[old]
            for other, weight in links.items():
                gain = weight - factor * own[item] * total[other]
                if gain > most + 1e-12:
                    best, most = other, gain
            total[best] += own[item]
            group[item] = best
            moves += best != old
        if moves <= 0.002 * count:
            break
    return np.array(group)
