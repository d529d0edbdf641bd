"""Probabilities of clusters that a network learns: those of a consensus of families of clusterings, under links."""

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.large_families import family_memberships
from clusterkit.methods.common.linked import settled
from clusterkit.methods.common.problem import Array
from clusterkit.pairs.links import Closure

LEAST = 1e-3
"""Least probability of a cluster, where the links choose one."""


def consensus_targets(z: Array, k: int, seed: int, links: Closure | None = None) -> tuple[NDArray[np.float32], int]:
    """Return the probabilities (N, K) of clusters of points z (N, D), and the sample's size of `family_memberships`.

    Linked points have probability one for a cluster in which their links hold.
    """
    prob, compared = family_memberships(z, k, seed)
    return prob if links is None else under_links(prob, links), compared


def under_links(prob: NDArray[np.float32], links: Closure) -> NDArray[np.float32]:
    """Return the probabilities (N, K) where each linked item has probability one for a cluster in which links hold."""
    cluster = settled(prob.argmax(1), -np.log(prob.astype(np.float64).clip(LEAST)), links)
    linked = np.eye(prob.shape[1], dtype=np.float32)[cluster]
    return np.where(links.linked[:, None], linked, prob)
