"""Kernel learning from relative comparisons, then kernel k-means (Amid, Gionis and Ukkonen 2016)."""

import numpy as np

from clusterkit.methods.common.kernel import kernel_points
from clusterkit.methods.common.linked import linked_k_means
from clusterkit.methods.common.logdet import Loss, learn
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

TIMES = 2.0
"""Factor by which a dissimilar item should be farther than a similar item, in squared distance."""
WEIGHT = 100.0
"""Weight of all comparisons of an item against the divergence from the initial kernel."""


def sklr(problem: Problem) -> Clustering:
    """Learn a kernel in which an item is nearer to similar than to dissimilar items, and run k-means in its space.

    Pairs are binarised. All comparisons of each item with a similar and a dissimilar item are used; none is sampled.
    """
    points = kernel_points(problem.values)
    learned = learn(points, comparison_loss(problem.pairs))
    return hard(
        linked_k_means(points @ learned.transform, problem.k, problem.seed, problem.links, problem.title), problem.k
    )


def comparison_loss(pairs: Array) -> Loss:
    """Return the loss of comparisons (i, j, k) of an item i with a similar j and a dissimilar k, by signs (N, N).

    It is the mean over each i's comparisons of max(0, TIMES d_ij - d_ik)^2, summed over i and times WEIGHT. The
    original projects on one comparison after another until all hold, which never happens if comparisons contradict.
    Sorting each row turns the up to N^3 comparisons into running sums over N^2 distances.
    """
    similar, dissimilar = pairs.clip(0), (-pairs).clip(0)
    weight = WEIGHT / np.maximum(similar.sum(1) * dissimilar.sum(1), 1)

    def loss(distances: Array) -> tuple[float, Array]:
        ends = np.where(similar > 0, TIMES * distances, distances)
        order = np.argsort(ends, 1, kind="stable")
        ends, near, far = (np.take_along_axis(matrix, order, 1) for matrix in (ends, similar, dissimilar))
        # Number, sum and sum of squares of the dissimilar distances before each place.
        count, total, squares = (np.cumsum(far * power, 1) for power in (1.0, ends, ends**2))
        value = (near * (ends**2 * count - 2 * ends * total + squares)).sum(1)
        # Number and sum of the similar distances after each place.
        above, above_total = (np.cumsum((near * power)[:, ::-1], 1)[:, ::-1] for power in (1.0, ends))
        slope = 2 * TIMES * near * (ends * count - total) - 2 * far * (above_total - ends * above)
        unsorted = np.empty_like(slope)
        np.put_along_axis(unsorted, order, slope * weight[:, None], 1)
        return float((weight * value).sum()), (unsorted + unsorted.T) / 2

    return loss
