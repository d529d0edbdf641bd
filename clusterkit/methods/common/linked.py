"""Clusters under the links of a user: must-links always hold, and cannot-links wherever K clusters allow it."""

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import k_means
from clusterkit.methods.common.problem import Array, Problem
from clusterkit.pairs.links import Closure

ROUNDS = 20
"""Largest number of rounds of k-means under links, and of passes over the groups that a cannot-link parts."""


def settled(cluster: NDArray[np.integer], cost: Array, closure: Closure | None) -> NDArray[np.int32]:
    """Return clusters (N,) in which the links hold, given those without links and the cost (N, K) of each cluster.

    A group of items that must-links tie goes to the cluster of least cost, unless it is whole already. Then each group
    that shares a cluster with one from which it is parted moves to the cheapest cluster that violates fewest
    cannot-links. Items without a link keep their cluster; -1 stands for none.
    """
    if closure is None or not cost.shape[1]:
        return cluster.astype(np.int32)
    of_group = summed(cost, closure)
    size, smallest = closure.size, np.full(len(of_group), cost.shape[1])
    largest = np.full(len(of_group), -1)
    np.minimum.at(smallest, closure.group, cluster)
    np.maximum.at(largest, closure.group, cluster)
    whole = (smallest == largest) & ((largest >= 0) | (size == 1))
    groups = np.where(whole, largest, of_group.argmin(1))
    part(groups, of_group, closure)
    return groups[closure.group].astype(np.int32)


def settled_near(cluster: NDArray[np.int32], points: Array, closure: Closure | None) -> NDArray[np.int32]:
    """Return clusters in which the links hold; the cost of a cluster is the squared distance to its mean."""
    if closure is None or cluster.max() < 0:
        return cluster
    member = np.eye(cluster.max() + 1)[cluster]
    centres = member.T @ points / member.sum(0).clip(1)[:, None]
    return settled(cluster, to_centres(points, centres, np.ones(points.shape[1])), closure)


def settled_by_pairs(cluster: NDArray[np.int32], problem: Problem) -> NDArray[np.int32]:
    """Return clusters in which the links hold; a cluster is the cheaper, the more probable the pairs with its items."""
    if problem.links is None or cluster.max() < 0:
        return cluster
    member = np.eye(cluster.max() + 1)[cluster] * (cluster >= 0)[:, None]
    return settled(cluster, -(problem.pairs @ member) / member.sum(0).clip(1), problem.links)


def summed(cost: Array, closure: Closure) -> Array:
    """Return the costs (G, K) of the groups, the sums of those of their items (N, K)."""
    total = np.zeros((len(closure.size), cost.shape[1]))
    np.add.at(total, closure.group, cost)
    return total


def part(groups: NDArray[np.integer], cost: Array, closure: Closure) -> None:
    """Move groups (G,), in place, until no move to another cluster violates fewer cannot-links; cost is (G, K)."""
    others: dict[int, list[int]] = {}
    for first, second in closure.apart.tolist():
        others.setdefault(first, []).append(second)
        others.setdefault(second, []).append(first)
    for _ in range(ROUNDS):
        moved = False
        for group in np.unique(closure.apart[groups[closure.apart[:, 0]] == groups[closure.apart[:, 1]]]).tolist():
            taken = groups[others[group]]
            violated = np.bincount(taken[taken >= 0], minlength=cost.shape[1]).astype(np.float64)
            # An empty cluster has no cost.
            violated[np.isinf(cost[group])] = np.inf
            if groups[group] < 0 or violated[groups[group]] == violated.min():
                continue
            groups[group] = np.where(violated == violated.min(), cost[group], np.inf).argmin()
            moved = True
        if not moved:
            return


def linked_k_means(points: Array, k: int, seed: int, closure: Closure | None, title: str) -> NDArray[np.int32]:
    """Return the clusters (N,) of k-means on points (N, D) under links; without links, those of `k_means`.

    It goes on from the clusters of `k_means`: the links are made to hold, centres move to the means, and each group
    that must-links tie goes to the nearest centre, until nothing changes.
    """
    cluster = k_means(points, k, seed, title)
    if closure is None:
        return cluster
    size = closure.size.astype(np.float64)
    means = summed(points, closure) / size[:, None]
    groups = settled_near(cluster, points, closure)[closure.first]
    for _ in range(ROUNDS):
        before, member = groups, np.eye(k)[groups] * size[:, None]
        used = np.flatnonzero(member.any(0))
        centres = member.T[used] @ means / member.sum(0)[used, None]
        cost = np.full((len(means), k), np.inf)
        cost[:, used] = size[:, None] * to_centres(means, centres, np.ones(means.shape[1]))
        groups = cost.argmin(1)
        part(groups, cost, closure)
        if (groups == before).all():
            break
    return groups[closure.group].astype(np.int32)


def to_centres(values: Array, centres: Array, weight: Array) -> Array:
    """Return the weighted squared distances (N, K) of values (N, D) to centres (K, D)."""
    scaled = centres * weight
    distances: Array = (values**2 @ weight)[:, None] - 2 * values @ scaled.T + (scaled * centres).sum(1)
    np.maximum(distances, 0, out=distances)
    return distances
