"""Spectral clustering (normalised cuts) of the pairs' probabilities, or of affinities of the items' values."""

import warnings

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.affinity import neighbour_affinity
from clusterkit.methods.common.linked import settled_by_pairs
from clusterkit.methods.common.points import equal_together
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard


def spectral(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's spectral clustering of affinities (N, N).

    The affinities are the pairs' probabilities, or those of the items' values if the problem has no pairs.
    """
    if problem.pairs.size:
        return hard(settled_by_pairs(cuts(problem.pairs, problem), problem), problem.k)
    return hard(equal_together(problem, lambda: cuts(neighbour_affinity(problem.values), problem)), problem.k)


def cuts(affinity: Array, problem: Problem) -> NDArray[np.int32]:
    """Return the clusters (N,) of affinities (N, N)."""
    from sklearn.cluster import SpectralClustering

    method = SpectralClustering(problem.k, affinity="precomputed", random_state=problem.seed)
    with warnings.catch_warnings():
        # A graph of several parts is fine: its parts are clusters.
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        clusters: NDArray[np.int32] = method.fit_predict(affinity)
    return clusters
