"""How many categories the pairs of a set speak of."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]


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
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - (probability + probability.T) / 2
    np.fill_diagonal(distance, 0)
    groups = fcluster(linkage(squareform(distance, checks=False), "average"), 0.5, "distance")
    sizes = np.bincount(groups)
    return max(1, int((sizes >= smallest).sum()))
