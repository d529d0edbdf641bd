"""Estimates of the number of categories in a set from its pairs."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]

LESS = 1.0
"""Subtracted from G's logits before grouping, because similar pairs are rarer in a large set than in G's batches."""


def eigengap(probability: Matrix) -> int:
    """Return the number of groups: how many eigenvalues of the normalised similarity lie above its largest gap.

    `probability` (N, N) is that of each pair to be similar. For K groups without similarities between them, D^-1/2 S
    D^-1/2 has K eigenvalues of one (von Luxburg 2007, sections 5 and 8.3). With fewer than three items the result is N.
    """
    from scipy.linalg import eigvalsh

    if len(probability) < 3:
        return len(probability)
    degree = probability.sum(1).clip(np.finfo(np.float64).tiny)
    scaled = probability / np.sqrt(np.outer(degree, degree))
    values = eigvalsh(scaled)[::-1]
    gaps = values[:-1] - values[1:]
    # A single group is no clustering, and of more than N / 2 groups most would hold one item.
    return int(np.argmax(gaps[1 : max(2, len(values) // 2)])) + 2


def linkage_count(probability: Matrix, smallest: float = 2) -> int:
    """Return the number of groups that average linkage leaves when it stops at a mean probability of one half.

    `probability` is (N, N). Groups of fewer than `smallest` items do not count: they are mostly drawings that G finds
    similar to no other.
    """
    groups = cut(linkage_tree(probability), 0.5)
    return max(1, int((np.bincount(groups) >= smallest).sum()))


def linkage_tree(probability: Matrix) -> Matrix:
    """Return SciPy's tree (N - 1, 4) of average linkage of `probability` (N, N), in O(N^2) time and memory."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = 1 - (probability + probability.T) / 2
    np.fill_diagonal(distance, 0)
    tree: Matrix = linkage(squareform(distance, checks=False), "average")
    return tree


def cut(tree: Matrix, level: float) -> NDArray[np.int64]:
    """Return the group (N,) of each item, from 0, after all merges at a mean probability of at least `level`."""
    from scipy.cluster.hierarchy import fcluster

    groups: NDArray[np.int64] = fcluster(tree, 1 - level, "distance").astype(np.int64) - 1
    return groups
