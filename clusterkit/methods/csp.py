"""Constrained spectral clustering (Wang, Qian and Davidson 2014)."""

from dataclasses import dataclass

import numpy as np

from clusterkit.methods.common.affinity import neighbour_affinity
from clusterkit.methods.common.linked import linked_k_means, settled
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard
from clusterkit.networks.evening import scaled

MARGIN = 1e-6
"""Amount by which the threshold of satisfaction lies below the mean of two singular values."""
FEASIBLE = 1e-12
"""Smallest inverse eigenvalue of a feasible cut; smaller ones are zero but for rounding."""


def csp(problem: Problem) -> Clustering:
    """Cut the graph of near items by the cheapest cuts that satisfy the pairs, and read the clusters off the cuts.

    The graph is that of the items' values. Pairs are binarised. Links alone are too few to choose cuts: the cheapest
    cuts of all are then taken, and k-means under the links reads the clusters off them.
    """
    if problem.alone:
        rows = cheapest_cuts(neighbour_affinity(problem.values), problem.k)
        return hard(linked_k_means(rows, problem.k, problem.seed, problem.links, problem.title), problem.k)
    cuts = feasible_cuts(neighbour_affinity(problem.values), problem.pairs + np.eye(len(problem.values)), problem.k)
    weight = 1 - cuts.cost
    # The trivial cut costs nothing and would outweigh all others.
    weighted = np.column_stack([weight.max(initial=1e-3) * cuts.trivial, weight * cuts.vectors])
    rows = scaled(weighted)
    fit = by_pivots(rows)
    return hard(settled(fit.argmax(1), -fit, problem.links), problem.k)


@dataclass(frozen=True)
class Cuts:
    """The cheapest feasible cuts of a graph, and the trivial cut, which separates nothing.

    `vectors` (N, M), of length one, and `eigenvalue` (M,) solve L v = eigenvalue (Q - beta I) v, where `laplacian` (N,
    N) is L and `constraint` (N, N) is Q - beta I. `cost` (M,) is v^T L v, and `trivial` (N,) is the null vector of L.
    """

    vectors: Array
    eigenvalue: Array
    cost: Array
    trivial: Array
    laplacian: Array
    constraint: Array


def feasible_cuts(affinity: Array, pairs: Array, k: int) -> Cuts:
    """Return at most K - 1 cuts, the cheapest first, for positive affinities (N, N) and constraints `pairs` (N, N).

    L is the normalised Laplacian of the affinities, and Q holds the constraints, normalised alike. A cut v is feasible
    if v^T Q v is more than beta. Beta lies between the K-th (of two clusters, the first) and the next singular value of
    Q, so that about K cuts are feasible. L is singular, with the null vector z. Orthogonal to z, every solution has z^T
    (Q - beta I) v = 0. Hence the part of v along z follows from the rest, for which the problem is symmetric and
    definite.
    """
    from scipy.linalg import eigh

    count, degree = len(affinity), affinity.sum(1)
    root = 1 / np.sqrt(degree)
    laplacian = np.eye(count) - root[:, None] * affinity * root
    # The mean degree makes the size of beta independent of that of the affinities.
    constraint = degree.mean() * root[:, None] * pairs * root
    singular = np.sort(np.abs(np.linalg.eigvalsh(constraint)))[::-1]
    # The pairs of K groups have K singular values that are not zero, but those of two groups only one.
    first = k - 1 if k > 2 else 0
    constraint -= ((singular[first] + singular[min(first + 1, count - 1)]) / 2 - MARGIN) * np.eye(count)
    trivial = np.sqrt(degree / degree.sum())
    basis = complement(trivial)
    crossed = constraint @ trivial
    along, across = float(trivial @ crossed), crossed @ basis
    inverse, rest = eigh(
        basis.T @ constraint @ basis - np.outer(across, across) / along,
        basis.T @ laplacian @ basis,
        subset_by_index=[max(0, count - 1 - k), count - 2],
    )
    feasible = inverse > FEASIBLE
    inverse, rest = inverse[feasible], rest[:, feasible]
    vectors = basis @ rest - np.outer(trivial, across @ rest) / along
    vectors /= np.linalg.norm(vectors, axis=0)
    cost = np.einsum("nm,nm->m", vectors, laplacian @ vectors)
    cheapest = np.argsort(cost, kind="stable")[: k - 1]
    return Cuts(vectors[:, cheapest], 1 / inverse[cheapest], cost[cheapest], trivial, laplacian, constraint)


def cheapest_cuts(affinity: Array, k: int) -> Array:
    """Return rows (N, K) of length one of the K eigenvectors of least cut in the graph of affinities (N, N)."""
    from scipy.linalg import eigh

    root = 1 / np.sqrt(affinity.sum(1))
    count = len(affinity)
    vectors = eigh(root[:, None] * affinity * root, subset_by_index=[max(0, count - k), count - 1])[1]
    return scaled(vectors)


def complement(vector: Array) -> Array:
    """Return orthonormal columns (N, N - 1) orthogonal to a vector (N,) of length one, by a Householder reflection."""
    mirror = vector.copy()
    mirror[0] += np.copysign(1, vector[0])
    reflection: Array = np.eye(len(vector)) - np.outer(mirror, mirror) * (2 / (mirror @ mirror))
    return reflection[:, 1:]


def by_pivots(rows: Array) -> Array:
    """Return how well items fit clusters (N, K), from rows (N, M) of indicators rotated by an unknown rotation.

    A pivoted QR factorisation finds M rows far from each other, which determine the rotation (Damle, Minden and Ying
    2018). If the rows have fewer than M dimensions, fewer clusters result.
    """
    from scipy.linalg import polar, qr

    pivots = qr(rows.T, mode="r", pivoting=True)[1][: rows.shape[1]]
    rotation = polar(rows[pivots].T)[0]
    fit: Array = np.abs(rows @ rotation)
    return fit
