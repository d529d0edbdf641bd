"""How many categories the pairs of a set speak of."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]

LESS = 1.0
"""By how much G's logits are lowered to group: similar pairs are rarer in a large set than in G's batches."""


def eigengap(probability: Matrix) -> int:
    """Return where the eigenvalues of the normalised similarity fall furthest, counted from the largest.

    `probability` (N, N) of each pair being similar. K groups without similarities between them give D^-1/2 S D^-1/2
    K eigenvalues of one (von Luxburg 2007, sections 5 and 8.3).
    """
    from scipy.linalg import eigvalsh

    if len(probability) < 3:
        return len(probability)
    degree = probability.sum(1).clip(np.finfo(np.float64).tiny)
    scaled = probability / np.sqrt(np.outer(degree, degree))
    values = eigvalsh(scaled)[::-1]
    gaps = values[:-1] - values[1:]
    # One group only is no clustering, and beyond N / 2 groups most would be of one item.
    return int(np.argmax(gaps[1 : max(2, len(values) // 2)])) + 2


def linkage_count(probability: Matrix, smallest: float = 2) -> int:
    """Return the number of groups when average linkage stops at a mean probability of one half.

    `probability` (N, N). Groups of fewer than `smallest` items, single drawings that G takes to be like nothing else,
    do not count.
    """
    groups = cut(linkage_tree(probability), 0.5)
    return max(1, int((np.bincount(groups) >= smallest).sum()))


def linkage_tree(probability: Matrix) -> Matrix:
    """Return SciPy's tree (N - 1, 4) of average linkage of `probability` (N, N). Cost: N^2 time and memory."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = 1 - (probability + probability.T) / 2
    np.fill_diagonal(distance, 0)
    tree: Matrix = linkage(squareform(distance, checks=False), "average")
    return tree


def cut(tree: Matrix, level: float) -> NDArray[np.int64]:
    """Return the group of each item (N,), from 0, when no groups of a mean probability of at least `level` are left."""
    from scipy.cluster.hierarchy import fcluster

    groups: NDArray[np.int64] = fcluster(tree, 1 - level, "distance").astype(np.int64) - 1
    return groups
