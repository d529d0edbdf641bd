"""What a method sees of a subset: the values of its items, and its pairs as whole matrices."""

import copy
import hashlib
import logging
import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.augment import to_float
from clusterkit.device import derive_seed
from clusterkit.methods.common.g_features import on_target
from clusterkit.methods.common.problem import Problem
from clusterkit.pairs.source import logit_matrix

log = logging.getLogger("clusterkit")

Array = NDArray[np.float64]
RESTARTS = 10
"""Of k-means, of which the one of the least sum of squares is kept."""


def values(problem: Problem) -> Array:
    """Return the values (N, D) of the items: their pixels, or what the backbone of a network makes of them.

    G's backbone is normalised as it was for its pairs, another network by the statistics of its training. Items whose
    pixels are equal have equal features, to the last bit.
    """
    network = problem.start
    if problem.g is not None:
        network = on_target(problem.g, problem.subset, problem.bn, problem.device)
    elif network is not None:
        # A copy, which leaves the device with this call.
        network = copy.deepcopy(network).to(problem.device).eval()
    parts, digests = [], []
    with torch.no_grad():
        for block in problem.subset.blocks(problem.device):
            items = to_float(block)
            parts.append((items if network is None else network.features(items)).flatten(1).cpu().numpy())
            if network is not None:
                digests += digests_of(items.flatten(1).cpu().numpy())
    found = np.concatenate(parts).astype(np.float64)
    if network is None:
        return found
    # A network may round the same image otherwise in a block of another size.
    same = numbered(digests)
    return found[np.unique(same, return_index=True)[1]][same]


def probabilities(problem: Problem) -> Array:
    """Return the probability (N, N) that two items are similar, symmetric; of what is not known, one half."""
    return torch.nan_to_num(_logits(problem), 0.0).sigmoid_().numpy()


def signs(problem: Problem, chosen: NDArray[np.int64] | None = None) -> Array:
    """Return the pairs (M, M) of all items, or of those at some positions (M,), symmetric and binarised.

    1 stands for similar, -1 for dissimilar, 0 for what is not known, and for an item and itself whatever was said.
    """
    found: Array = torch.nan_to_num(_logits(problem, chosen), 0.0).sign_().fill_diagonal_(0).numpy()
    return found


def sample(problem: Problem) -> NDArray[np.int64]:
    """Return the positions of the items whose pairs are used: of all, or of so many at random as `max_pairs` allows."""
    count, most = len(problem.subset), problem.config.max_pairs
    if most is None or count**2 <= most:
        return np.arange(count)
    rng = np.random.default_rng(seed_of(problem, "sample"))
    return np.sort(rng.choice(count, math.isqrt(most), replace=False))


def _logits(problem: Problem, chosen: NDArray[np.int64] | None = None) -> torch.Tensor:
    """Return the logits (M, M) of items, the mean of both orders."""
    assert problem.pairs is not None
    positions = torch.arange(len(problem.pairs)) if chosen is None else torch.from_numpy(chosen)
    found = logit_matrix(problem.pairs, positions).double()
    return (found + found.T) / 2


def seed_of(problem: Problem, name: str) -> int:
    """Return the seed of a method's random choices on a subset, as scikit-learn takes it."""
    return derive_seed(problem.seed, name, problem.subset.name) % 2**32


def k_means(points: Array, k: int, seed: int) -> NDArray[np.int32]:
    """Return the clusters (N,) of scikit-learn's k-means on points (N, D), the best of several restarts.

    Where fewer than K points differ, fewer clusters are found.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: NDArray[np.int32] = KMeans(min(k, len(points)), n_init=RESTARTS, random_state=seed).fit_predict(points)
    clusters = len(np.unique(found))
    if clusters < k:
        log.warning("only %d of %d items differ, so there are no more clusters than that", clusters, len(points))
    return found


def equal_together(points: Array, k: int, cluster: Callable[[], NDArray[np.integer]]) -> NDArray[np.int32]:
    """Return the clusters (N,) that `cluster` finds for points (N, D), all equal points in the most common of theirs.

    Where no more than K points differ, `cluster` is not called: what is equal is a cluster.
    """
    same = numbered(digests_of(points))
    count = int(same.max()) + 1
    if count <= k:
        if count < k:
            log.warning("only %d of %d items differ, so there are no more clusters than that", count, len(points))
        return same
    found: NDArray[np.int32] = cluster().astype(np.int32)
    if count == len(points):
        return found
    votes = np.bincount(same * k + found, minlength=count * k).reshape(count, k)
    most: NDArray[np.int32] = votes.argmax(1)[same].astype(np.int32)
    return most


def digests_of(rows: NDArray[np.floating]) -> list[bytes]:
    """Return a digest of each row (N, D); those of equal rows are equal."""
    # Added to zero, minus zero is zero.
    return [hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest() for row in rows]


def numbered(digests: list[bytes]) -> NDArray[np.int32]:
    """Return for each digest (N,) the number of different ones before the first that is equal to it."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int32)


def squared_distances(points: Array) -> Array:
    """Return the squared distances (N, N) of points (N, D); zero on the diagonal."""
    square = (points**2).sum(1)
    out = points @ points.T
    out *= -2
    out += square[:, None]
    out += square
    np.maximum(out, 0, out=out)
    np.fill_diagonal(out, 0)
    return out
