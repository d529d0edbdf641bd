"""HDBSCAN of the pairs' probabilities, which finds the number of clusters (Campello, Moulavi and Sander 2013)."""

import logging

import numpy as np

from clusterkit.errors import UsageError
from clusterkit.methods.consensus import likeness
from clusterkit.methods.items import probabilities
from clusterkit.methods.problem import Clustering, Problem, hard

log = logging.getLogger("clusterkit")

SMALLEST = 5
"""Items of the smallest cluster."""
CORE = 1
"""Neighbours that make an item dense, itself counted: pairs say more than how many items are near."""


def hdbscan(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's HDBSCAN of how sure it is that two items are alike.

    That is the mean of their pair's probability and of how alike their pairs with all others are: by single pairs
    alone one that is wrong joins two clusters. Items in no dense region are unassigned (-1). Cost: N^3 multiplications;
    memory: about seven matrices of N x N. Raises UsageError below five items.
    """
    from sklearn.cluster import HDBSCAN

    if len(problem.subset) < SMALLEST:
        raise UsageError(f"--method hdbscan: {problem.subset.name} has fewer than {SMALLEST} items; use another method")
    probability = probabilities(problem)
    np.fill_diagonal(probability, 1)
    distances = 1 - (probability + likeness(probability)) / 2
    np.fill_diagonal(distances, 0)
    method = HDBSCAN(min_cluster_size=SMALLEST, min_samples=CORE, metric="precomputed", copy=False)
    cluster = method.fit_predict(distances).astype(np.int32)
    outside = int((cluster < 0).sum())
    log.info("cluster %s: %d of %d items are in no cluster", problem.subset.name, outside, len(cluster))
    return hard(cluster, max(1, int(cluster.max()) + 1))
