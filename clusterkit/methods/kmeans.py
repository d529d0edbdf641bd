"""K-means on the items themselves; it consumes no pairs."""

import numpy as np

from clusterkit.augment import to_float
from clusterkit.device import derive_seed
from clusterkit.methods.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster pixels or vectors by scikit-learn's k-means with ten restarts. Cost: N K D an iteration."""
    from sklearn.cluster import KMeans

    values = np.concatenate([to_float(block).flatten(1).numpy() for block in problem.subset.blocks()])
    seed = derive_seed(problem.seed, "kmeans", problem.subset.name) % 2**32
    return hard(KMeans(problem.k, n_init=10, random_state=seed).fit_predict(values), problem.k)
