"""Consensus of families of clusterings of any number of points, without a matrix of all pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common import sample
from clusterkit.methods.common.families import (
    DECISIVE,
    DIMENSIONS,
    TINY,
    by_average,
    clusterings,
    cut,
    families,
    memberships,
    principal,
    told,
)
from clusterkit.methods.common.points import shares_of
from clusterkit.methods.common.problem import Array
from clusterkit.networks.evening import scaled

MOST = 10_000
"""Most items in a clustering. Among more, nearest neighbours are too near to reach the whole of a group."""
EACH = 20
"""Fewest items of a mean group in a clustering, if that makes more than MOST."""
HEARD = 10
"""Nearest items of the sample whose probabilities an item outside it takes."""
FAR = 1e6
"""Largest value of a point, as a multiple of the median. A point beyond would leave the others too few digits."""
AT_A_TIME = 1000
"""Items outside the sample whose nearest ones are sought at a time."""


def family_memberships(z: Array, k: int, seed: int) -> tuple[NDArray[np.float32], int]:
    """Return the probabilities (N, K) of the groups that a consensus of families of clusterings finds in z (N, D).

    The second value is the size of the sample of which it compares all pairs, 0 where that is all different points.

    Of more than LARGEST different points, each clustering groups all, or MOST random ones, but average linkage cuts the
    consensus of LARGEST of these. Both limits are higher if there are many groups. A point then has the mean share of
    clusterings in which it is together with a group's items, and the points beyond MOST have the mean of their nearest
    ones. Rows that differ by rounding alone count once, and their order does not matter. Time is O(N D) and memory
    O(N (D + K)) beside those for MOST points.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(z) <= sample.LARGEST:
        return _of_all_pairs(z, k, seed), 0
    largest = np.abs(z).max(1)
    unit = float(np.median(largest) or largest.max() or 1)
    if largest.max() > FAR * unit:
        z = z.clip(-FAR * unit, FAR * unit)
    rounded = (z / unit).astype(np.float32).round(6)
    _, first, same = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    same = same.ravel()
    if len(first) <= sample.LARGEST:
        return _of_all_pairs(z[first], k, seed)[same], 0
    heard = sample.sampled(len(first), seed, max(MOST, EACH * k))
    prob = _of_sampled_pairs(z[first[heard]], k, seed)
    compared = sample.compared(len(first), k)
    if len(heard) == len(first):
        return prob[same], compared if compared < len(first) else 0
    every = np.empty((len(first), k), np.float32)
    nearest = NearestNeighbors(n_neighbors=HEARD, algorithm="brute").fit(scaled(z[first[heard]], TINY))
    for start in range(0, len(first), AT_A_TIME):
        block = slice(start, start + AT_A_TIME)
        every[block] = prob[nearest.kneighbors(scaled(z[first[block]], TINY), return_distance=False)].mean(1)
    # Means of the nearest items would lose groups of few items.
    every[heard] = prob
    return every[same], compared


def _of_sampled_pairs(rows: Array, k: int, seed: int) -> NDArray[np.float32]:
    chosen = sample.sampled(len(rows), seed, sample.compared(len(rows), k))
    # Numbers of half the size halve the time.
    points: Any = principal(rows, max(DIMENSIONS)).astype(np.float32)
    members = [groups.astype(np.int32) for groups in clusterings(points, k, seed)]
    prob = extended(members, chosen, cut(shares_of([groups[chosen] for groups in members], np.float32), k), k)
    graph, unequal = by_average(points, k, seed)
    if told(graph, unequal) > DECISIVE * told(graph, prob.argmax(1)):
        prob = np.eye(k, dtype=np.float32)[unequal]
    return prob


def _of_all_pairs(z: Array, k: int, seed: int) -> NDArray[np.float32]:
    shares = families(z, k, seed)
    return memberships(shares, cut(shares, k), k)


def extended(
    members: list[NDArray[np.int32]], chosen: NDArray[np.int64], groups: NDArray[np.int32], k: int
) -> NDArray[np.float32]:
    """Return the probabilities (N, K) of groups (M,) of the items at positions `chosen` (M,).

    They are those of `memberships`: the mean shares of clusterings (N,) in which an item is together with a group's
    items, scaled to a sum of one.
    """
    sizes = np.bincount(groups, minlength=k).clip(1)
    means = np.zeros((len(members[0]), k), np.float32)
    for member in members:
        together = np.bincount(member[chosen] * k + groups, minlength=k * k).reshape(k, k)
        means += (together / sizes).astype(np.float32)[member]
    prob: NDArray[np.float32] = means / means.sum(1, keepdims=True).clip(np.finfo(np.float32).tiny)
    return prob
