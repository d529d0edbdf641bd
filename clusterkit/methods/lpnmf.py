"""Locality-preserving non-negative matrix factorisation of the items' values; it consumes no pairs."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import equal_together, k_means
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

NEIGHBOURS = 5
SMOOTHNESS = 100.0
"""The lambda of the papers."""
ITERATIONS = 100
TOLERANCE = 1e-4
"""Share of the objective that an iteration must gain, or it is the last."""
HALVINGS = 10
"""Of a step of V, after which V stays as it is."""
FLOOR = 1e-12
"""Of V, whose logarithm is taken; on average its rows sum to one."""


def lpnmf(problem: Problem) -> Clustering:
    """Cluster by k-means on the rows of V, scaled to length one, where V U^T is near to the items' values.

    V is also smooth over a graph of neighbours (Cai, He, Wang, Bao, Han, IJCAI 2009; the divergence form of GNMF, Cai,
    He, Han, Huang, PAMI 2011). Cost: N K D an iteration, and a factor of a sparse N x N matrix once.
    """
    seed, k = problem.seed, problem.k
    points = problem.values

    def cluster() -> NDArray[np.int32]:
        x = shares(points)
        for _, v, _ in factors(x, laplacian(points), smoothness(x), k, seed):
            last = v
        return k_means(last / np.linalg.norm(last, axis=1, keepdims=True), k, seed)

    return hard(equal_together(points, k, cluster), k)


def shares(points: Array) -> Array:
    """Return X (N, D'), not negative, rows of sum one: points (N, D) without the features that are zero of all points.

    Features with values below zero are moved up to zero first. A point of zeros only gets the same share of each.
    """
    moved = points - np.minimum(points.min(0), 0)
    sums = moved.sum(1, keepdims=True)
    x: Array = np.where(sums > 0, moved / np.where(sums > 0, sums, 1), 1 / points.shape[1])
    return x[:, x.any(0)]


def smoothness(x: Array) -> float:
    """Return the weight of the smoothness for X (N, D) when U's columns sum to one.

    The objective weighs it against the scale of U, which the papers leave open. Here their lambda is for U with entries
    of about one where an item has something, so with columns whose sum is the number of features that an item is spread
    over; 1 / sum_i x_ij^2 for item j.
    """
    return SMOOTHNESS * float((x**2).sum(1).mean())


def laplacian(points: Array) -> Any:
    """Return the Laplacian, sparse (N, N), of the graph that joins points (N, D) one of which is near to the other."""
    from scipy.sparse import csc_array, diags_array
    from sklearn.neighbors import kneighbors_graph

    count = min(NEIGHBOURS, len(points) - 1)
    if count == 0:
        return csc_array((1, 1))
    near = csc_array(kneighbors_graph(points, count))
    graph = near.maximum(near.T)
    return (diags_array(graph.sum(0)) - graph).tocsc()


def factors(x: Array, lap: Any, weight: float, k: int, seed: int) -> Iterator[tuple[Array, Array, float]]:
    """Yield U (D, K), whose columns sum to one, V (N, K) and the objective, at the start and after each iteration.

    With Y = V U^T the objective is sum(x log(x / y) - x + y) for X (N, D) plus the weight times half the sum, over
    edges jl of the graph of the Laplacian and over k, of (v_jk - v_lk) log(v_jk / v_lk). It never gets worse. U's
    columns have a fixed sum as V could be made smooth by making it small otherwise.
    """
    from scipy.sparse import coo_array, csr_array, eye_array
    from scipy.sparse.linalg import splu

    solve = splu((eye_array(len(x)) + weight * lap).tocsc()).solve
    sparse = coo_array(x)
    x, at = sparse.data, sparse.coords
    entropy = (x * np.log(x)).sum() - x.sum()
    rng = np.random.default_rng(seed)
    u = rng.random((sparse.shape[1], k))
    v = rng.random((sparse.shape[0], k))
    u /= u.sum(0)
    v /= v.sum(1, keepdims=True)
    before = np.inf
    for _ in range(ITERATIONS + 1):
        y = (v @ u.T)[at]
        objective = float(entropy - (x * np.log(y)).sum() + v.sum() + weight / 2 * roughness(v, lap).sum())
        yield u, v, objective
        if before - objective < TOLERANCE * abs(objective):
            return
        before = objective
        u = u * (csr_array((x / y, at), sparse.shape).T @ v)
        u /= u.sum(0)
        y = (v @ u.T)[at]
        v = next_v(v, v * (csr_array((x / y, at), sparse.shape) @ u), lap, weight, solve)


def next_v(v: Array, parts: Array, lap: Any, weight: float, solve: Callable[[Array], Array]) -> Array:
    """Return V (N, K) after its step, given for each entry the part (N, K) of its item's values that it accounts for.

    A column solves (I + weight L) v_k = part_k, which has log a = 1 - 1 / a for neighbours' ratios a. That may be too
    far. What tells is the bound on the objective that the update of NMF goes by, in which columns are independent.
    """

    def bound(v: Array) -> Array:
        cost: Array = (v - parts * np.log(v)).sum(0) + weight / 2 * roughness(v, lap)
        return cost

    limit = bound(v)
    step = np.maximum(solve(parts), FLOOR)
    for _ in range(HALVINGS):
        worse = bound(step) > limit
        if not worse.any():
            return step
        step = np.where(worse, (v + step) / 2, step)
    return np.where(bound(step) > limit, v, step)


def roughness(v: Array, lap: Any) -> Array:
    """Return for each column of V (N, K) the sum over edges jl of (v_j - v_l) log(v_j / v_l)."""
    found: Array = (v * (lap @ np.log(v))).sum(0)
    return found
