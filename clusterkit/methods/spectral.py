"""Spectral clustering of the pairs' probabilities."""

import torch

from clusterkit.device import derive_seed
from clusterkit.errors import UsageError
from clusterkit.methods.problem import Clustering, Problem, hard
from clusterkit.pairs.source import matrix

LARGEST = 20_000


def spectral(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's spectral clustering with the N x N probabilities as affinities. Cost: N^2 K.

    Raises UsageError above 20,000 items, where the matrix does not fit.
    """
    from sklearn.cluster import SpectralClustering

    pairs = problem.pairs
    assert pairs is not None
    count = len(pairs)
    if count > LARGEST:
        raise UsageError(f"--method spectral: {count} items are too many (at most {LARGEST}); use --method ccn")
    affinity = matrix(pairs, torch.arange(count)).sigmoid_().numpy()
    seed = derive_seed(problem.seed, "spectral", problem.subset.name) % 2**32
    method = SpectralClustering(problem.k, affinity="precomputed", random_state=seed)
    return hard(method.fit_predict(affinity), problem.k)
