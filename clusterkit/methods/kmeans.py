"""K-means on the items themselves or on a network's features; it consumes no pairs."""

import numpy as np
import torch

from clusterkit.augment import to_float
from clusterkit.device import derive_seed
from clusterkit.methods.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's k-means with ten restarts. Cost: N K D an iteration.

    The values of an item are its pixels or, where the problem has a network to start from, the features of its
    backbone, normalised by the statistics of its training.
    """
    from sklearn.cluster import KMeans

    network = None if problem.start is None else problem.start.to(problem.device).eval()
    parts = []
    with torch.no_grad():
        for block in problem.subset.blocks(problem.device):
            items = to_float(block)
            parts.append((items if network is None else network.features(items)).flatten(1).cpu().numpy())
    seed = derive_seed(problem.seed, "kmeans", problem.subset.name) % 2**32
    return hard(KMeans(problem.k, n_init=10, random_state=seed).fit_predict(np.concatenate(parts)), problem.k)
