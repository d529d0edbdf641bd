"""Constrained spectral clustering (Wang, Qian and Davidson 2014)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.affinity import neighbour_affinity
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

LESS = 1e-6
"""By how much the threshold of satisfaction lies below the mean of two singular values."""
FEASIBLE = 1e-12


def csp(problem: Problem) -> Clustering:
    """Cut the graph of near items cheaply among the cuts that satisfy the pairs, and read the clusters off the cuts.

    The graph is of the items' values; pairs are binarised. Cost: three eigenproblems, about 40 N^3 multiplications;
    memory: about 12 matrices of N x N.
    """
    cuts = feasible_cuts(neighbour_affinity(problem.values), problem.pairs + np.eye(len(problem.values)), problem.k)
    weight = 1 - cuts.cost
    # The cut that parts nothing costs nothing and would outweigh all others.
    weighted = np.column_stack([weight.max(initial=1e-3) * cuts.trivial, weight * cuts.vectors])
    rows = weighted / np.linalg.norm(weighted, axis=1, keepdims=True).clip(np.finfo(np.float64).tiny)
    return hard(by_pivots(rows), problem.k)


@dataclass(frozen=True)
class Cuts:
    """The cheapest feasible cuts of a graph, and the cut that parts nothing.

    `vectors` (N, M), of length one, and `eigenvalue` (M,) solve L v = eigenvalue (Q - beta I) v, `laplacian` (N, N) and
    `constraint` (N, N) being L and Q - beta I; `cost` (M,) is v^T L v; `trivial` (N,) is L's null vector.
    """

    vectors: Array
    eigenvalue: Array
    cost: Array
    trivial: Array
    laplacian: Array
    constraint: Array


def feasible_cuts(affinity: Array, pairs: Array, k: int) -> Cuts:
    """Return at most K - 1 cuts, cheapest first, by positive affinities and constraints (N, N).

    L is the normalised Laplacian of the affinities, Q the constraints normalised alike, and beta lies between the
    K-th (of two clusters, the first) and the next singular value of Q, so that about K cuts are feasible: those
    whose v^T Q v is more than beta. L is singular: orthogonal to its null vector z every solution has z^T (Q - beta
    I) v = 0, by which v's part along z follows from the rest, and what remains is symmetric and definite.
    """
    from scipy.linalg import eigh

    count, degree = len(affinity), affinity.sum(1)
    root = 1 / np.sqrt(degree)
    laplacian = np.eye(count) - root[:, None] * affinity * root
    # Scaled by the mean degree, beta has one size whatever the affinities'.
    constraint = degree.mean() * root[:, None] * pairs * root
    singular = np.sort(np.abs(np.linalg.eigvalsh(constraint)))[::-1]
    # K groups' pairs have K singular values that are not zero, but two groups' only one.
    first = k - 1 if k > 2 else 0
    constraint -= ((singular[first] + singular[min(first + 1, count - 1)]) / 2 - LESS) * np.eye(count)
    trivial = np.sqrt(degree / degree.sum())
    others = complement(trivial)
    crossed = constraint @ trivial
    own, across = float(trivial @ crossed), crossed @ others
    inverse, rest = eigh(
        others.T @ constraint @ others - np.outer(across, across) / own,
        others.T @ laplacian @ others,
        subset_by_index=[max(0, count - 1 - k), count - 2],
    )
    feasible = inverse > FEASIBLE
    inverse, rest = inverse[feasible], rest[:, feasible]
    vectors = others @ rest - np.outer(trivial, across @ rest) / own
    vectors /= np.linalg.norm(vectors, axis=0)
    cost = np.einsum("nm,nm->m", vectors, laplacian @ vectors)
    cheapest = np.argsort(cost, kind="stable")[: k - 1]
    return Cuts(vectors[:, cheapest], 1 / inverse[cheapest], cost[cheapest], trivial, laplacian, constraint)


def complement(vector: Array) -> Array:
    """Return orthonormal columns (N, N - 1) orthogonal to a vector (N,) of length one, by a Householder reflection."""
    mirror = vector.copy()
    mirror[0] += np.copysign(1, vector[0])
    reflection: Array = np.eye(len(vector)) - np.outer(mirror, mirror) * (2 / (mirror @ mirror))
    return reflection[:, 1:]


def by_pivots(rows: Array) -> NDArray[np.int32]:
    """Return the clusters (N,) that rows (N, M) of cluster indicators, rotated in any way, stand for.

    M rows that are far from each other, found by a pivoted QR factorisation, say how the indicators are rotated (Damle,
    Minden and Ying 2018). Where rows have less than M dimensions, fewer clusters are found.
    """
    from scipy.linalg import polar, qr

    pivots = qr(rows.T, mode="r", pivoting=True)[1][: rows.shape[1]]
    rotation = polar(rows[pivots].T)[0]
    clusters: NDArray[np.int32] = np.abs(rows @ rotation).argmax(1).astype(np.int32)
    return clusters
