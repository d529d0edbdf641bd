"""Probabilities of clusters that a network learns: those of a consensus of families of clusterings, under links."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.families import LARGEST, cut, directions, families, memberships
from clusterkit.methods.common.linked import settled
from clusterkit.methods.common.problem import Array
from clusterkit.networks.evening import by_content
from clusterkit.pairs.links import Closure

HEARD = 10
"""Nearest items of the sample whose probabilities an item outside it takes."""
LEAST = 1e-3
"""Least probability of a cluster, where the links choose one."""


def consensus_targets(z: Array, k: int, seed: int, links: Closure | None = None) -> NDArray[np.float32]:
    """Return the probabilities (N, K) of clusters of points z (N, D).

    Of more than LARGEST points, a random sample is compared that does not depend on their order, and the others take
    the mean probabilities of their nearest points in the sample. Linked points have probability one for a cluster in
    which their links hold.
    """
    chosen: NDArray[np.integer[Any]] = np.arange(len(z))
    if len(z) > LARGEST:
        # Equal points may differ by rounding.
        chosen = by_content(z.round(6))[np.random.default_rng(seed).choice(len(z), LARGEST, replace=False)]
    shares = families(z[chosen], k, seed)
    prob = memberships(shares, cut(shares, k), k)
    if len(z) > LARGEST:
        prob = _of_neighbours(directions(z), directions(z)[chosen], prob)
    return prob if links is None else under_links(prob, links)


def under_links(prob: NDArray[np.float32], links: Closure) -> NDArray[np.float32]:
    """Return the probabilities (N, K) where each linked item has probability one for a cluster in which links hold."""
    cluster = settled(prob.argmax(1), -np.log(prob.astype(np.float64).clip(LEAST)), links)
    linked = np.eye(prob.shape[1], dtype=np.float32)[cluster]
    return np.where(links.linked[:, None], linked, prob)


def _of_neighbours(rows: Array, sample: Array, prob: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each of N rows the mean of the probabilities (M, K) of the rows nearest to it in the sample (M, D)."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=HEARD, algorithm="brute").fit(sample).kneighbors(rows)[1]
    means: NDArray[np.float32] = prob[nearest].mean(1)
    return means
