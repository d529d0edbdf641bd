"""Items that show two groupings, of which only pairs can tell which one is meant."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def plain_groups(labels: Labels) -> Labels:
    """Return the groups (N,) that `two_groupings` shows most plainly: as many as classes, each with items of all."""
    groups = np.empty_like(labels)
    groups[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % len(np.unique(labels))
    return groups


def two_groupings(labels: Labels, seed: int = 0) -> NDArray[np.float64]:
    """Return values (N, 2 K) with the K classes in one half and, farther apart, the plain groups in the other.

    By the values alone every method takes the plain groups, or none, for the clusters.
    """
    classes = np.eye(len(np.unique(labels)))
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(labels), 2 * len(classes)))
    return np.hstack([6 * classes[labels], 8 * classes[plain_groups(labels)]]) + noise
