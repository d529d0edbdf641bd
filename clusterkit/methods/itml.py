"""Information-theoretic metric learning, and k-means by the metric (Davis, Kulis, Jain, Sra and Dhillon 2007)."""

import numpy as np

from clusterkit.methods.common.linked import linked_k_means
from clusterkit.methods.common.logdet import bounds, learn, pair_loss, share_of_metric
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

SLACK = 1.0
"""Weight of the pairs against the divergence from the initial metric."""
SHARE = 0.05
"""Share of all pairs nearer than the bound of similar pairs, and share farther than the bound of dissimilar pairs."""
ENERGY = 0.99
"""Share of the values' variance that is kept."""


def itml(problem: Problem) -> Clustering:
    """Learn a metric in which similar pairs are near and dissimilar pairs far, and run k-means with it.

    The metric starts at the inverse covariance of the values. Pairs are binarised; with `max_pairs`, they are those
    among a random sample of items. Links alone cannot mend a start that stretches noise: the metric then starts at the
    Euclidean one, and the links weigh the less, the fewer they are.
    """
    points = scaled(problem.values) if problem.alone else components(problem.values)
    chosen = problem.chosen
    upper, lower = bounds(points[chosen], SHARE)
    slack = SLACK * share_of_metric(problem.pairs, points.shape[1]) if problem.alone else SLACK
    learned = learn(points[chosen], pair_loss(problem.pairs, upper, lower, slack))
    return hard(
        linked_k_means(points @ learned.transform, problem.k, problem.seed, problem.links, problem.title), problem.k
    )


def scaled(values: Array) -> Array:
    """Return centred values (N, D) with a mean variance of one."""
    centred: Array = values - values.mean(0)
    return centred / (np.sqrt((centred**2).mean()) or 1)


def components(values: Array) -> Array:
    """Return the principal components (N, R) of values (N, D), each of variance one; one of zeros if items are equal.

    The smallest components, a hundredth of the variance, are left out.
    """
    from scipy.linalg import svd

    vectors, sizes, _ = svd(values - values.mean(0), full_matrices=False)
    energy = (sizes**2).cumsum()
    if not energy[-1] > 0:
        return np.zeros((len(values), 1))
    rank = int(np.searchsorted(energy, ENERGY * energy[-1])) + 1
    points: Array = vectors[:, :rank] * np.sqrt(len(values))
    return points
