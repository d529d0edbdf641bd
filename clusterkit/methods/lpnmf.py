"""Locality-preserving non-negative matrix factorisation of the items' values; it reads no pairs."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import centred, equal_together, k_means
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard
from clusterkit.networks.evening import scaled

NEIGHBOURS = 5
"""Nearest neighbours of an item in the graph."""
SMOOTHNESS = 100.0
"""Lambda of the papers."""
ITERATIONS = 100
"""Largest number of iterations."""
TOLERANCE = 1e-4
"""Share of the objective that an iteration must gain; otherwise it is the last."""
HALVINGS = 10
"""Halvings of a step of V, after which V stays unchanged."""
FLOOR = 1e-12
"""Smallest entry of V, whose logarithm is taken. Rows of V sum to one on average."""


def lpnmf(problem: Problem) -> Clustering:
    """Cluster by k-means on the rows of V, scaled to length one, where V U^T is close to the items' values.

    V is also smooth over a graph of neighbours (Cai, He, Wang, Bao, Han, IJCAI 2009; the divergence form of GNMF, Cai,
    He, Han, Huang, PAMI 2011).
    """
    seed, k = problem.seed, problem.k
    points = problem.values

    def cluster() -> NDArray[np.int32]:
        x = shares(points)
        for _, v, _ in factors(x, laplacian(points), smoothness(x), k, seed):
            last = v
        return k_means(scaled(last), k, seed, problem.title)

    return hard(equal_together(problem, cluster), k)


def shares(points: Array) -> Array:
    """Return X (N, D'), not negative, with rows of sum one: points (N, D) without features that are zero for all.

    Features with negative values are first shifted to zero. A point that is zero everywhere gets an equal share of each
    feature.
    """
    moved = points - np.minimum(points.min(0), 0)
    sums = moved.sum(1, keepdims=True)
    x: Array = np.where(sums > 0, moved / np.where(sums > 0, sums, 1), 1 / points.shape[1])
    return x[:, x.any(0)]


def smoothness(x: Array) -> float:
    """Return the weight of the smoothness for X (N, D), when the columns of U sum to one.

    The objective weighs smoothness against the scale of U, which the papers leave open. Here their lambda is for a U
    whose entries are about one where an item has a value, so that its columns sum to the number of features that an
    item is spread over. That is 1 / sum_i x_ij^2 for item j.
    """
    return SMOOTHNESS * float((x**2).sum(1).mean())


def laplacian(points: Array) -> Any:
    """Return the sparse Laplacian (N, N) of the graph that joins each point of (N, D) to its nearest neighbours."""
    from scipy.sparse import csc_array, diags_array
    from sklearn.neighbors import kneighbors_graph

    count = min(NEIGHBOURS, len(points) - 1)
    if count == 0:
        return csc_array((1, 1))
    neighbours = csc_array(kneighbors_graph(centred(points), count))
    graph = neighbours.maximum(neighbours.T)
    return (diags_array(graph.sum(0)) - graph).tocsc()


def factors(x: Array, lap: Any, weight: float, k: int, seed: int) -> Iterator[tuple[Array, Array, float]]:
    """Yield U (D, K), whose columns sum to one, V (N, K) and the objective, at the start and after each iteration.

    With Y = V U^T, the objective is sum(x log(x / y) - x + y) for X (N, D), plus the weight times half the sum, over
    edges jl of the Laplacian's graph and over k, of (v_jk - v_lk) log(v_jk / v_lk). It never gets worse. The sum of U's
    columns is fixed, because V could otherwise be made smooth by making it small.
    """
    from scipy.sparse import coo_array, csr_array, eye_array
    from scipy.sparse.linalg import splu

    solve = splu((eye_array(len(x)) + weight * lap).tocsc()).solve
    sparse = coo_array(x)
    x, cells = sparse.data, sparse.coords
    entropy = (x * np.log(x)).sum() - x.sum()
    rng = np.random.default_rng(seed)
    u = rng.random((sparse.shape[1], k))
    v = rng.random((sparse.shape[0], k))
    u /= u.sum(0)
    v /= v.sum(1, keepdims=True)
    before = np.inf
    for _ in range(ITERATIONS + 1):
        y = (v @ u.T)[cells]
        objective = float(entropy - (x * np.log(y)).sum() + v.sum() + weight / 2 * roughness(v, lap).sum())
        yield u, v, objective
        if before - objective < TOLERANCE * abs(objective):
            return
        before = objective
        u = u * (csr_array((x / y, cells), sparse.shape).T @ v)
        u /= u.sum(0)
        y = (v @ u.T)[cells]
        v = next_v(v, v * (csr_array((x / y, cells), sparse.shape) @ u), lap, weight, solve)


def next_v(v: Array, parts: Array, lap: Any, weight: float, solve: Callable[[Array], Array]) -> Array:
    """Return V (N, K) after its step, from the part (N, K) of its item's values that each entry accounts for.

    For each column, the step solves (I + weight L) v_k = part_k, which takes log a as 1 - 1 / a for ratios a of
    neighbours. It is halved for columns that raise the bound on the objective from which NMF's update follows; in that
    bound columns are independent.
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
    """Return, for each column of V (N, K), the sum over edges jl of (v_j - v_l) log(v_j / v_l)."""
    sums: Array = (v * (lap @ np.log(v))).sum(0)
    return sums
