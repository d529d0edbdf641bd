"""Learning of a metric or kernel that agrees with pairs and stays near the initial one in LogDet divergence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.common.problem import Array

SMALLEST_STEP = 1e-9
"""Step below which no further gain is sought."""
NEAREST = 1e-12
"""Squared distance below which two points count as one."""

Loss = Callable[[Array], tuple[float, Array]]
"""Function from squared distances (N, N) to a loss, convex in them, and its symmetric derivative (N, N) by each."""


@dataclass(frozen=True)
class Learned:
    """`transform` (D, D) of the points, whose square is the metric, and the objective before and after each step."""

    transform: Array
    objective: list[float]


def learn(points: Array, loss: Loss, steps: int = 60, tolerance: float = 1e-4) -> Learned:
    """Minimise tr M - log det M - D + loss over metrics M (D, D), for points (N, D).

    With M = C C^T, the distances are those of the points times C. On the points of a kernel K = X X^T, the objective is
    the LogDet divergence of the learned kernel X M X^T from K (Kulis, Sustik and Dhillon 2009) plus the loss. The
    objective is convex. A step follows the natural gradient to C (I + t H)^-1 C^T, with H = C^T (I + X^T L X) C - I and
    the graph Laplacian L of the loss's derivatives. It is halved while the objective gets worse. The originals project
    on one constraint after another instead.
    """
    from scipy.linalg import LinAlgError, cholesky, solve_triangular

    size = points.shape[1]
    transform, moved, log_det, step = np.eye(size), points, 0.0, 1.0
    value, slope = loss(squared_distances(points))
    objective = [value]
    for _ in range(steps):
        gradient = transform.T @ transform + 2 * moved.T @ (slope.sum(1)[:, None] * moved - slope @ moved)
        np.fill_diagonal(gradient, gradient.diagonal() - 1)
        step = min(1.0, 2 * step)
        while step > SMALLEST_STEP:
            try:
                lower = cholesky(np.eye(size) + step * gradient, lower=True)
            except LinAlgError:
                step /= 2
                continue
            new = solve_triangular(lower, transform.T, lower=True).T
            new_moved = solve_triangular(lower, moved.T, lower=True).T
            value, new_slope = loss(squared_distances(new_moved))
            new_log_det = log_det - 2 * np.log(np.diag(lower)).sum()
            total = value + float((new**2).sum()) - size - new_log_det
            if total < objective[-1]:
                break
            step /= 2
        else:
            break
        transform, moved, slope, log_det = new, new_moved, new_slope, new_log_det
        objective.append(total)
        if objective[-2] - total < tolerance * abs(total):
            break
    return Learned(transform, objective)


def pair_loss(signs: Array, upper: float, lower: float, slack: float) -> Loss:
    """Return the loss of pairs whose distance is not within its bound (Davis et al. 2007).

    `signs` (N, N) are positive for pairs that should be nearer than the squared distance `upper`, and negative for
    pairs that should be farther than `lower`; their size is the pair's weight. With the best slack for each pair, a
    pair at r times its bound costs `slack` times the LogDet divergence r - log r - 1, and a pair within its bound costs
    nothing. Hence contradictions cost, but exclude nothing.
    """
    similar, dissimilar = signs > 0, signs < 0
    # Equal points give bounds of zero, which cannot be divisors.
    upper, lower = max(upper, NEAREST), max(lower, NEAREST)

    def loss(distances: Array) -> tuple[float, Array]:
        above = np.maximum(distances / upper, 1)
        below = np.clip(distances / lower, NEAREST, 1)
        value = (signs * (above - np.log(above) - 1))[similar].sum()
        value -= (signs * (below - np.log(below) - 1))[dissimilar].sum()
        slope = signs * (similar * (1 - 1 / above) / upper - dissimilar * (1 - 1 / below) / lower)
        # Each pair occurs in both orders, so its sums are halved.
        return slack / 2 * float(value), slack / 2 * slope

    return loss


def bounds(points: Array, share: float) -> tuple[float, float]:
    """Return the squared distances below and above which the `share` of all pairs of points lies."""
    distances = squared_distances(points)[np.triu_indices(len(points), 1)]
    low, high = np.quantile(distances, [share, 1 - share])
    return float(low), float(high)


def share_of_metric(pairs: Array, width: int) -> float:
    """Return the number of known pairs (M, M) per entry of a symmetric metric (D, D), at most 1.

    Links alone weigh by this share, so that fewer pairs than the metric has entries bend it the less.
    """
    return min(1.0, np.count_nonzero(pairs) / (width * (width + 1)))
