"""The number of groups in a set of vectors, by communities of graphs of neighbours."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common import sample
from clusterkit.metrics.doubts import APART
from clusterkit.networks.evening import scaled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger("clusterkit")

Array = NDArray[np.floating]
Groups = NDArray[np.int64]

RESOLUTIONS = np.geomspace(0.25, 8, 11)
"""The resolutions of modularity among which the one that fits its own groups is sought."""
SHARE = 0.3
"""The share of the resolution that fits a random graph of groups. Neighbours of neighbours are neighbours in a graph of
points, which a random graph does not have, so that its resolution would split every group."""
SHARES = 0.2, 0.25, 0.3, 0.35, 0.4, 0.5
"""The shares among which classes of A that were kept out choose."""
PRIOR = 0.02
"""The squared error that a share 1.35 times as large or as small as SHARE must save to be chosen."""
CALIBRATED = 400
"""Most items of kept-out classes in which groups are counted."""
FEWEST = 30
"""Fewest items of kept-out classes from which a share is chosen."""
SMALLEST = 3
"""Groups of fewer items do not count: any two items may be each other's nearest."""
COMPONENTS = 64
"""The number of principal components in which neighbours are sought."""
FIRST = 5
"""Neighbours of every item before the first round."""
ROUNDS = 2
PARTS = 0.2, 0.3, 0.45
"""Neighbours of an item in a round, as parts of the size of the group that it was in before, from SMALLEST to
MOST_NEIGHBOURS. Of more, small groups are lost; of fewer, large ones fall apart."""
MOST_NEIGHBOURS = 30
ENOUGH = 40
"""Mean number of items of a group in a sample. Of fewer, groups are missed."""
SLOW = 10_000
"""Items in a sample beyond which it takes so long that a log line says so."""
MOST_ITEMS = 20_000
"""Most items in a sample. Their graphs take about a minute of a core, and the time grows with the square."""
SCALE = 5
"""The distance to this neighbour is the unit of distance at an item."""
BLOCK = 4000**2
"""Distances that are held at a time."""
PASSES = 20
"""Largest number of passes over all items before groups are joined."""


def count_in_sample(z: Array, seed: int, share: float = SHARE) -> tuple[dict[str, int], int]:
    """Return estimates of the number of groups of `z` (N, D), and the number of items among which they were counted.

    Equal rows count once, and the order of the rows does not matter. Of more than LARGEST rows a random sample is
    taken, which grows until a group has ENOUGH items in the mean by every estimate, there is more than one group, and
    no estimate is more than APART times another. It grows to at most MOST_ITEMS.
    """
    points, size = distinct(z), sample.LARGEST
    while True:
        estimates = counted(points[sample.sampled(len(points), seed, size)], seed, share)
        if size >= len(points):
            return estimates, len(z)
        low, high = min(estimates.values()), max(estimates.values())
        if size >= ENOUGH * high and 1 < high <= APART * low:
            return estimates, size
        if size >= MOST_ITEMS:
            log.info(
                "estimate-k: a sample of %d items, the most that are compared, shows from %d to %d groups; a larger "
                "one might show more",
                size, low, high,
            )  # fmt: skip
            return estimates, size
        size = min(MOST_ITEMS, max(2 * size, ENOUGH * high))
        if min(size, len(points)) > SLOW:
            log.info("estimate-k: counting groups again, in %d items; it can take minutes", min(size, len(points)))


def counted(points: Array, seed: int, share: float = SHARE) -> dict[str, int]:
    """Return estimates of the number of groups of points (N, D), rows of length one, and their mean `communities`.

    Each estimate is the number of communities of a graph of neighbours (`fitting_groups`), found in rounds: items of
    large communities have more neighbours in the next round. How many more is a part of their size, one of PARTS for
    each estimate. `communities` is their geometric mean, and alone for at most SMALLEST items. Time is O(N^2).
    """
    if len(points) <= SMALLEST:
        return {"communities": 1}
    nearest, distances = neighbours(projection(points, COMPONENTS), MOST_NEIGHBOURS)

    def groups_of(number: Groups) -> tuple[int, Groups]:
        return fitting_groups(scaled_graph(nearest, distances, number), seed, share)

    # In a graph of nearly all pairs there are no groups.
    _, first = groups_of(np.full(len(points), min(FIRST, max(2, len(points) // 6))))
    estimates = {}
    for part in PARTS:
        groups = first
        for _ in range(ROUNDS):
            sizes = np.bincount(groups)[groups]
            number = (part * sizes).round().clip(SMALLEST, MOST_NEIGHBOURS).astype(np.int64)
            estimates[f"rounds-{part}"], groups = groups_of(number)
    best = round(float(np.exp(np.mean(np.log(list(estimates.values()))))))
    return {**estimates, "communities": best}


def calibrated_share(kept_out: Sequence[tuple[Array, NDArray[np.integer]]], seed: int) -> float:
    """Return the one of SHARES whose `counted` groups are nearest in number to the classes in sets of kept-out classes.

    Each set has rows z (N, D) and labels (N,). The error is the mean squared log of the ratio of both numbers, and
    shares far from SHARE must save some of it. Sets of fewer than FEWEST items are left out; without any, it is SHARE.
    """
    errors = []
    for z, labels in kept_out:
        if len(z) < FEWEST:
            continue
        chosen = np.random.default_rng(seed).permutation(len(z))[:CALIBRATED]
        classes = len(np.unique(labels[chosen]))
        counts = np.array([count_in_sample(z[chosen], seed, share)[0]["communities"] for share in SHARES])
        errors.append(np.log(counts / classes) ** 2)
    if not errors:
        return SHARE
    distance = np.log(np.array(SHARES) / SHARE) / np.log(1.35)
    return SHARES[int(np.argmin(np.mean(errors, 0) + PRIOR * distance**2))]


def distinct(z: Array) -> Array:
    """Return the different rows of z (N, D) in an order that does not depend on theirs."""
    points: Array = np.unique(z.astype(np.float32).round(6), axis=0)
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
    projected: Array = kept * np.sqrt(values[values > 1e-9 * values[-1]]) if wide else centred @ kept
    return scaled(projected, 1e-12)


def neighbours(points: Array, number: int) -> tuple[Groups, Array]:
    """Return the nearest other points (N, M) of each of the points (N, D), nearest first, and their squared distances.

    M is `number`, or N - 1 if that is smaller.
    """
    number = min(number, len(points) - 1)
    parts, size = [], max(1, BLOCK // len(points))
    for start in range(0, len(points), size):
        distances = (2 - 2 * points[start : start + size] @ points.T).clip(0)
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        nearest = np.argpartition(distances, number - 1, axis=1)[:, :number]
        near = np.take_along_axis(distances, nearest, 1)
        order = np.argsort(near, axis=1, kind="stable")
        parts.append((np.take_along_axis(nearest, order, 1), np.take_along_axis(near, order, 1)))
    nearest, near = (np.concatenate(part) for part in zip(*parts, strict=True))
    return nearest, near


def scaled_graph(nearest: Groups, distances: Array, number: Groups) -> "csr_matrix":
    """Return the graph (N, N) that joins each item to the first `number` (N,) of its neighbours, either way.

    `nearest` and `distances` (N, M) are as of `neighbours`. Weights are Gaussians of local width (Zelnik-Manor and
    Perona 2004).
    """
    from scipy.sparse import csr_matrix

    count, most = nearest.shape
    number = number.clip(max=most)
    width = np.sqrt(distances[np.arange(count), number.clip(max=SCALE) - 1]).clip(1e-9)
    weights = np.exp(-distances / (width[:, None] * width[nearest]))
    kept = np.arange(most) < number[:, None]
    rows = np.repeat(np.arange(count), number)
    graph = csr_matrix((weights[kept], (rows, nearest[kept])), shape=(count, count))
    return graph.maximum(graph.T).tocsr()


def fitting_groups(graph: "csr_matrix", seed: int, share: float = SHARE) -> tuple[int, Groups]:
    """Return the number of communities of a graph (N, N) at the resolution that fits them, and the communities (N,).

    Groups by modularity at resolution r are the most likely ones of a planted partition with (w_in - w_out) / (log w_in
    - log w_out) = r, where w_in and w_out are the edges within and between groups, as shares of those expected by
    degree (Newman 2016, Phys. Rev. E 94, 052315). The number is that where r is `share` of what its own groups give,
    interpolated between RESOLUTIONS; the communities are those of the last resolution below. Communities of fewer than
    SMALLEST items do not count.
    """
    before: tuple[float, float, Groups] | None = None
    for resolution in RESOLUTIONS:
        groups = communities(graph, float(resolution), seed)
        number = float(np.log(max(1, (np.bincount(groups) >= SMALLEST).sum())))
        excess = float(np.log(resolution) - np.log(max(share * fitting_resolution(graph, groups), 1e-6)))
        if excess > 0:
            if before is None:
                break
            weight = excess / (excess - before[1])
            return round(float(np.exp(weight * before[0] + (1 - weight) * number))), before[2]
        before = number, excess, groups
    return round(float(np.exp(number))), groups


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
