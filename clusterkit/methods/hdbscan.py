"""HDBSCAN of the pairs' probabilities, which finds the number of clusters (Campello, Moulavi and Sander 2013)."""

import logging

import numpy as np

from clusterkit.methods import METHODS
from clusterkit.methods.common.consensus import likeness
from clusterkit.methods.common.problem import Clustering, Problem, hard

log = logging.getLogger("clusterkit")

SMALLEST = METHODS["hdbscan"].fewest
"""Items of the smallest cluster."""
CORE = 1
"""Neighbours that make an item dense, itself counted: pairs say more than how many items are near."""

DECIMALS = 9
"""Of distances."""
UNDECIDED = 0.5
"""The probability, and the distance, of two items that are as much alike as not."""


def hdbscan(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's HDBSCAN of how sure it is that two items are alike.

    That is the mean of their pair's probability and of how alike their pairs with all others are: by single pairs
    alone one that is wrong joins two clusters. Items in no dense region are unassigned (-1). Where that is all of them
    although two items are alike more often than not, the items are one cluster without those that are like no other.
    Cost: N^3 multiplications; memory: about seven matrices of N x N.
    """
    from sklearn.cluster import HDBSCAN

    probability = problem.pairs
    np.fill_diagonal(probability, 0)
    alike = probability.sum() > UNDECIDED * len(probability) * (len(probability) - 1)
    np.fill_diagonal(probability, 1)
    distances = 1 - (probability + likeness(probability)) / 2
    np.fill_diagonal(distances, 0)
    # Rounding errors would part items that are all equally alike.
    distances.round(DECIMALS, out=distances)
    method = HDBSCAN(min_cluster_size=SMALLEST, min_samples=CORE, metric="precomputed", copy=False)
    cluster = method.fit_predict(distances).astype(np.int32)
    if alike and cluster.max() < 0:
        # The whole set counts as no cluster unless it may. Without the limit most of it would be outliers.
        method.set_params(allow_single_cluster=True, cluster_selection_epsilon=UNDECIDED)
        cluster = method.fit_predict(distances).astype(np.int32)
    outside = int((cluster < 0).sum())
    log.info("cluster %s: %d of %d items are in no cluster", problem.title, outside, len(cluster))
    return hard(cluster, max(1, int(cluster.max()) + 1))
