"""Information-theoretic metric learning, and k-means by the metric (Davis, Kulis, Jain, Sra and Dhillon 2007)."""

import numpy as np

from clusterkit.methods.common.logdet import bounds, learn, pair_loss
from clusterkit.methods.common.points import k_means
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

SLACK = 1.0
SHARE = 0.05
"""Share of all pairs that are nearer than similar pairs shall be, and share that are farther than dissimilar ones."""
ENERGY = 0.99
"""Share of the variance of the values that is kept."""


def itml(problem: Problem) -> Clustering:
    """Learn a metric in which similar pairs are near and dissimilar ones far, and run k-means by it.

    The metric starts at the inverse of the values' covariance. Pairs are binarised; with `max_pairs`, those among a
    random sample of items. Cost: the principal components of N x D values; 60 steps of 2 P D + 2 D^3 multiplications
    for P pairs; k-means.
    """
    points = components(problem.values)
    chosen = problem.chosen
    upper, lower = bounds(points[chosen], SHARE)
    learned = learn(points[chosen], pair_loss(problem.pairs, upper, lower, SLACK))
    return hard(k_means(points @ learned.transform, problem.k, problem.seed), problem.k)


def components(found: Array) -> Array:
    """Return the principal components (N, R) of values (N, D), each of variance one; of equal items, one of zeros.

    The least of them, a hundredth of the variance, are left out.
    """
    from scipy.linalg import svd

    vectors, sizes, _ = svd(found - found.mean(0), full_matrices=False)
    energy = (sizes**2).cumsum()
    if not energy[-1] > 0:
        return np.zeros((len(found), 1))
    kept = int(np.searchsorted(energy, ENERGY * energy[-1])) + 1
    points: Array = vectors[:, :kept] * np.sqrt(len(found))
    return points
