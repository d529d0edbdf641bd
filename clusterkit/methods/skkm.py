"""Semi-supervised kernel k-means: a kernel learned from pairs (Anand, Mittal, Tuzel and Meer 2014), then k-means."""

from clusterkit.methods.common.kernel import kernel_points
from clusterkit.methods.common.linked import linked_k_means
from clusterkit.methods.common.logdet import bounds, learn, pair_loss, share_of_metric
from clusterkit.methods.common.problem import Clustering, Problem, hard

SLACK = 10.0
"""Weight of the pairs against the divergence from the initial kernel."""
SHARE = 0.01
"""Share of all pairs nearer than the bound of similar pairs, and share farther than the bound of dissimilar pairs."""


def skkm(problem: Problem) -> Clustering:
    """Learn a kernel in which similar pairs are near and dissimilar pairs far, and run k-means in its space.

    Pairs are binarised.
    """
    points = kernel_points(problem.values)
    upper, lower = bounds(points, SHARE)
    slack = SLACK * share_of_metric(problem.pairs, points.shape[1]) if problem.alone else SLACK
    learned = learn(points, pair_loss(problem.pairs, upper, lower, slack))
    return hard(
        linked_k_means(points @ learned.transform, problem.k, problem.seed, problem.links, problem.title), problem.k
    )
