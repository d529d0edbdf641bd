"""Measures of how well clusters agree with classes."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]


def contingency(clusters: Labels, labels: Labels) -> NDArray[np.int64]:
    """Return the number of items of each class in each cluster, (clusters, classes), from two arrays (N,)."""
    _, row = np.unique(clusters, return_inverse=True)
    _, column = np.unique(labels, return_inverse=True)
    table = np.zeros((row.max(initial=-1) + 1, column.max(initial=-1) + 1), np.int64)
    np.add.at(table, (row, column), 1)
    return table


def accuracy(clusters: Labels, labels: Labels) -> float:
    """Return ACC: the share of items in a cluster matched to their class (Yang et al. 2010; L2C, section 5.1).

    Clusters and classes, both (N,), are matched one to one so that ACC is largest. Items of an unmatched cluster and
    unassigned items (-1) are errors.
    """
    from scipy.optimize import linear_sum_assignment

    assigned = clusters >= 0
    table = contingency(clusters[assigned], labels[assigned])
    matched = linear_sum_assignment(table, maximize=True)
    return float(table[matched].sum() / len(labels))


def nmi(clusters: Labels, labels: Labels) -> float:
    """Return NMI of two partitions (N,): their mutual information over the geometric mean of their entropies.

    Strehl and Ghosh (2002) and the papers use this mean. One cluster gives 1 if there is one class, and 0 if there are
    several.
    """
    joint = contingency(clusters, labels) / len(labels)
    rows, columns = joint.sum(1), joint.sum(0)
    cells = joint > 0
    information = float((joint[cells] * np.log(joint[cells] / np.outer(rows, columns)[cells])).sum())
    entropies = -(rows * np.log(rows)).sum(), -(columns * np.log(columns)).sum()
    if len(rows) == 1 and len(columns) == 1:
        return 1.0
    if min(entropies) <= 0:
        return 0.0
    return float(np.clip(information / np.sqrt(entropies[0] * entropies[1]), 0.0, 1.0))


def ari(clusters: Labels, labels: Labels) -> float:
    """Return ARI, the adjusted Rand index, of two partitions (N,)."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clusters))


def ndc(clusters: Labels, k: int) -> int:
    """Return NDC, the number of dominant clusters: those of at least N / K items (L2C, section 5.1.2).

    `clusters` (N,) holds numbers below `k`, and -1 for unassigned items, which count in N.
    """
    sizes = np.bincount(clusters[clusters >= 0], minlength=k)
    return int((sizes * k >= len(clusters)).sum())


def scores(clusters: Labels, labels: Labels, k: int) -> dict[str, float]:
    """Return ACC, NMI, ARI, NDC, ADif, and the numbers of clusters and classes, of two arrays (N,).

    `k` is the number of outputs, which sets the size of a dominant cluster.
    """
    count, dominant = len(np.unique(labels)), ndc(clusters, k)
    return {
        "acc": accuracy(clusters, labels),
        "nmi": nmi(clusters, labels),
        "ari": ari(clusters, labels),
        "ndc": float(dominant),
        "adif": float(abs(dominant - count)),
        "clusters": float(len(np.unique(clusters[clusters >= 0]))),
        "classes": float(count),
    }
