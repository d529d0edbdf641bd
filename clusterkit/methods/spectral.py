"""Spectral clustering of the pairs' probabilities."""

import torch

from clusterkit.device import derive_seed
from clusterkit.errors import UsageError
from clusterkit.methods.problem import Clustering, Problem, hard

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
    every = torch.arange(count)
    affinity = torch.cat([pairs.logits(rows, every).sigmoid() for rows in every.split(512)]).numpy()
    seed = derive_seed(problem.seed, "spectral", problem.subset.name) % 2**32
    method = SpectralClustering(problem.k, affinity="precomputed", random_state=seed)
    return hard(method.fit_predict(affinity), problem.k)
