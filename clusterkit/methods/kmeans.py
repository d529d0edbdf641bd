"""K-means on the items' values; it reads no pairs."""

from clusterkit.methods.common.points import equal_together, k_means
from clusterkit.methods.common.problem import Clustering, Problem, hard


def kmeans(problem: Problem) -> Clustering:
    """Cluster by scikit-learn's k-means, the best of ten starts."""
    return hard(
        equal_together(problem, lambda: k_means(problem.values, problem.k, problem.seed, problem.title)), problem.k
    )
