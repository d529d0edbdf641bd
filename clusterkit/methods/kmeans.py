"""K-means on the items themselves or on a network's features; it consumes no pairs."""

from clusterkit.methods.items import k_means, seed_of, values
from clusterkit.methods.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's k-means with ten restarts. Cost: N K D an iteration."""
    return hard(k_means(values(problem), problem.k, seed_of(problem, "kmeans")), problem.k)
