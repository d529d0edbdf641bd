"""HDBSCAN of the pairs' probabilities, which finds the number of clusters (Campello, Moulavi and Sander 2013)."""

import logging

import numpy as np

from clusterkit.methods import METHODS
from clusterkit.methods.common.consensus import likeness
from clusterkit.methods.common.linked import settled_by_pairs
from clusterkit.methods.common.problem import Clustering, Problem, hard

log = logging.getLogger("clusterkit")

SMALLEST = METHODS["hdbscan"].fewest
"""Items of the smallest cluster."""
CORE = 1
"""Neighbours that make an item dense, itself included: pairs tell more than the number of near items."""

DECIMALS = 9
"""Decimals to which distances are rounded."""
UNDECIDED = 0.5
"""Probability, and distance, of two items that are as likely similar as dissimilar."""


def hdbscan(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's HDBSCAN on how alike any two items are.

    How alike two items are is the mean of their pair's probability and of the cosine of their pairs with all items
    (`likeness`). With the probability alone, a single wrong pair joins two clusters. Items in no dense region are
    unassigned (-1). If no item is in one, although most pairs are similar, the items form one cluster, without those
    that are like no other.
    """
    from sklearn.cluster import HDBSCAN

    probability = problem.pairs
    np.fill_diagonal(probability, 0)
    alike = probability.sum() > UNDECIDED * len(probability) * (len(probability) - 1)
    np.fill_diagonal(probability, 1)
    distances = 1 - (probability + likeness(probability)) / 2
    np.fill_diagonal(distances, 0)
    # Rounding errors would separate items that are all equally alike.
    distances.round(DECIMALS, out=distances)
    method = HDBSCAN(min_cluster_size=SMALLEST, min_samples=CORE, metric="precomputed", copy=False)
    cluster = method.fit_predict(distances).astype(np.int32)
    if alike and cluster.max() < 0:
        # HDBSCAN takes the whole set as a cluster only if told to. Without the limit, most items would be outliers.
        method.set_params(allow_single_cluster=True, cluster_selection_epsilon=UNDECIDED)
        cluster = method.fit_predict(distances).astype(np.int32)
    cluster = settled_by_pairs(cluster, problem)
    outside = int((cluster < 0).sum())
    log.info("cluster %s: %d of %d items are in no cluster", problem.title, outside, len(cluster))
    return hard(cluster, max(1, int(cluster.max()) + 1))
