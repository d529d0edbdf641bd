"""Spectral clustering, normalised cuts, of the pairs' probabilities or of how near the items are."""

import warnings

from clusterkit.methods.affinity import neighbour_affinity
from clusterkit.methods.items import probabilities, seed_of, values
from clusterkit.methods.problem import Clustering, Problem, hard


def spectral(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's spectral clustering of affinities (N, N): the pairs' probabilities, or the items'.

    The items' are used where features are asked for. Cost: N^2 K; memory: about five matrices of N x N.
    """
    from sklearn.cluster import SpectralClustering

    affinity = probabilities(problem) if problem.config.uses_pairs else neighbour_affinity(values(problem))
    method = SpectralClustering(problem.k, affinity="precomputed", random_state=seed_of(problem, "spectral"))
    with warnings.catch_warnings():
        # A graph in parts is no mistake: its parts are clusters.
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        return hard(method.fit_predict(affinity), problem.k)
