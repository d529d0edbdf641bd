"""Spectral clustering, normalised cuts, of the pairs' probabilities or of how near the items are."""

import warnings

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.affinity import neighbour_affinity
from clusterkit.methods.common.points import equal_together
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard


def spectral(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's spectral clustering of affinities (N, N): the pairs' probabilities, or the items'.

    The items' are used where features are asked for. Cost: N^2 K; memory: about five matrices of N x N.
    """
    if problem.pairs.size:
        return hard(cuts(problem.pairs, problem), problem.k)
    points = problem.values
    return hard(equal_together(points, problem.k, lambda: cuts(neighbour_affinity(points), problem)), problem.k)


def cuts(affinity: Array, problem: Problem) -> NDArray[np.int32]:
    """Return the clusters (N,) of affinities (N, N)."""
    from sklearn.cluster import SpectralClustering

    method = SpectralClustering(problem.k, affinity="precomputed", random_state=problem.seed)
    with warnings.catch_warnings():
        # A graph in parts is no mistake: its parts are clusters.
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        found: NDArray[np.int32] = method.fit_predict(affinity)
    return found
