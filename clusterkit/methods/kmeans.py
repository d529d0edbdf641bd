"""K-means on the items' values; it reads no pairs."""

from clusterkit.methods.common.points import equal_together, k_means
from clusterkit.methods.common.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's k-means, the best of ten starts."""
    points, seed = problem.values, problem.seed
    return hard(equal_together(points, problem.k, lambda: k_means(points, problem.k, seed)), problem.k)
