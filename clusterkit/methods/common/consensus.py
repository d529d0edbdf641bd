"""Consensus of many spectral clusterings of all pairs: how often they put two items together."""

import warnings

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import shares_of
from clusterkit.metrics.k_estimates import LESS, Matrix, linkage_count
from clusterkit.networks.evening import scaled

SOFT = 3.0
"""Divisor of logits, because G is more certain than it is right."""
Range = tuple[float, float]
FIRST: Range = (0.5, 2.0)
"""Range of the numbers of groups in the first round, as shares of the number that linkage finds."""
SECOND: Range = (0.7, 1.4)
"""Range of the numbers of groups in the second round, as shares of the number that the first round finds."""
CLUSTERINGS = 12
"""Spectral clusterings in a round."""
ITERATIONS = 20
"""Iterations of k-means in a clustering."""


def consensus(logits: Matrix, seed: int, second: Range = SECOND) -> Matrix:
    """Return for each pair the share (N, N) of spectral clusterings in which its two items are in one group."""
    return clusterings(logits, seed, second)[0]


def clusterings(logits: Matrix, seed: int, second: Range = SECOND) -> tuple[Matrix, NDArray[np.int64]]:
    """Return the shares (N, N) of `consensus`, and the groups (N, C) in each of the C spectral clusterings.

    `logits` (N, N) are G's, symmetric. G errs on single pairs, and comparing all other pairs of both items corrects
    most errors. The clusterings have different numbers of groups, so that the result does not depend on the right
    number. These lie around the number that average linkage finds. In the first round, linkage uses the mean of the
    pairs' probabilities, their `likeness`, and the likeness of that; in the second round, it uses the first round's
    shares. If linkage finds fewer than two groups, the pairs' probabilities and C = 0 are returned. Time is O(N^3).
    """
    probability = sigmoid(logits - LESS)
    groups = np.zeros((len(logits), 0), np.int64)
    if len(logits) < 3:
        return probability, groups
    smallest = max(2.0, len(logits) / 100)
    alike = likeness(probability)
    count = linkage_count((probability + alike + likeness(alike)) / 3, smallest)
    if count < 2:
        return probability, groups
    rng = np.random.default_rng(seed)
    vectors = eigenvectors(sigmoid((logits - LESS) / SOFT), 3 * count)
    shares = probability
    for low, high in (FIRST, second):
        # A group of fewer than three items says no more than its pairs.
        largest = max(2, min(vectors.shape[1], len(logits) // 3))
        counts = np.geomspace(low * count, high * count, CLUSTERINGS).round().clip(2, largest).astype(int)
        numbers, repeats = np.unique(counts, return_counts=True)
        groups = np.stack([spectral_groups(vectors, int(number), rng) for number in numbers], 1).repeat(repeats, 1)
        shares = shares_of(groups.T, np.float64)
        count = linkage_count(shares, smallest)
    return shares, groups


def likeness(probability: Matrix) -> Matrix:
    """Return the cosines (N, N) of the rows of `probability` (N, N), where items like many others weigh less."""
    rows = scaled(probability / np.sqrt(probability.sum(1).clip(np.finfo(np.float64).tiny)))
    cosines: Matrix = (rows @ rows.T).clip(0, 1)
    return cosines


def eigenvectors(affinity: Matrix, count: int) -> Matrix:
    """Return at most `count` eigenvectors (N, M) of D^-1/2 S D^-1/2, the largest eigenvalue first.

    S (N, N) are symmetric affinities.
    """
    from scipy.linalg import eigh

    affinity = affinity.copy()
    np.fill_diagonal(affinity, 1)
    root = np.sqrt(affinity.sum(1))
    first = max(0, len(affinity) - count)
    vectors: Matrix = eigh(affinity / np.outer(root, root), subset_by_index=[first, len(affinity) - 1])[1]
    return vectors[:, ::-1]


def spectral_groups(vectors: Matrix, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return groups (N,) by k-means on the rows, scaled to length one, of K eigenvectors (Ng, Jordan, Weiss 2001)."""
    from scipy.cluster.vq import kmeans2

    rows = scaled(vectors[:, :k])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        groups: NDArray[np.int64] = kmeans2(rows, k, ITERATIONS, minit="++", seed=rng)[1].astype(np.int64)
    return groups


def sigmoid(logits: Matrix) -> Matrix:
    from scipy.special import expit

    probability: Matrix = expit(logits)
    return probability
