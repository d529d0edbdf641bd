"""Average linkage of the pairs' probabilities."""

import numpy as np

from clusterkit.methods.common.linked import settled_by_pairs
from clusterkit.methods.common.problem import Clustering, Problem, hard
from clusterkit.metrics.k_estimates import linkage_tree


def agglomerative(problem: Problem) -> Clustering:
    """Merge the two clusters with the largest mean probability of their pairs until K are left, with SciPy.

    Of equal means, the first is merged first.
    """
    from scipy.cluster.hierarchy import fcluster

    tree = linkage_tree(problem.pairs)
    # SciPy undoes merges at equal heights together, so each merge gets its own height.
    tree[:, 2] = np.arange(len(tree))
    cluster = fcluster(tree, problem.k, "maxclust").astype(np.int32) - 1
    return hard(settled_by_pairs(cluster, problem), problem.k)
