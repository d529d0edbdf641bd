"""K-means on the items themselves or on a network's features; it consumes no pairs."""

from clusterkit.methods.common.points import equal_together, k_means
from clusterkit.methods.common.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's k-means with ten restarts. Cost: N K D an iteration."""
    points, seed = problem.values, problem.seed
    return hard(equal_together(points, problem.k, lambda: k_means(points, problem.k, seed)), problem.k)
