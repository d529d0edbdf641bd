"""Pairs that follow from a clustering, for items whose cluster their nearest neighbours confirm."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset

SIDE = 16
"""Pixels per side to which larger images are averaged to compare them. Finer pixels differ more by place than kind."""
SEARCHED, HEARD = 60, 10
"""Nearest neighbours searched for each item, and how many of them vote: the nearest that are sure of their cluster."""
SURE = 0.8
"""Share of each cluster, its most probable items, that votes. Votes of the other items would repeat their errors."""
SPREADS = 3
"""Rounds of voting. From the second round on, items of an unsure group can vote for each other."""
CONFIRMED = 0.5
"""Smallest mean of an item's own probability and its neighbours' votes that confirms its cluster."""


def nearest(subset: Subset) -> NDArray[np.intp]:
    """Return the positions (N, M) of each item's M nearest other items, by the distance of their pixels or values.

    Time is O(N^2 D), with D at most 256 times the channels for images.
    """
    from sklearn.neighbors import NearestNeighbors

    values = small_values(subset)
    count = min(SEARCHED, len(values) - 1)
    positions: NDArray[np.intp] = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(values).kneighbors()[1]
    return positions


def small_values(subset: Subset) -> NDArray[np.float32]:
    """Return the values (N, D) of the items: vectors, and pixels of images averaged to at most SIDE.

    Vectors in float64 are returned less their mean.
    """
    parts = []
    for block in subset.blocks(torch.device("cpu")):
        items = to_float(block)
        if items.ndim == 4 and min(items.shape[2:]) > SIDE:
            items = F.adaptive_avg_pool2d(items, SIDE)
        parts.append(items.flatten(1).numpy())
    values = np.concatenate(parts)
    # Squared distances of values far from zero would be lost in rounding; scikit-learn takes care of float32.
    return values - values.mean(0) if values.dtype == np.float64 else values


def confirmed(prob: NDArray[np.float32], neighbours: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the cluster (N,) of each item that `prob` (N, K) and its neighbours' votes confirm, -1 for other items.

    `neighbours` (N, M) holds the positions of each item's neighbours, the nearest first.
    """
    belief = prob.astype(np.float64)
    for _ in range(SPREADS):
        belief = (prob + votes(belief, neighbours)) / 2
    return np.where(belief.max(1) >= CONFIRMED, belief.argmax(1), -1)


def votes(belief: NDArray[np.float64], neighbours: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the shares (N, K) of clusters among the first HEARD of each item's `neighbours` (N, M) that are sure.

    `belief` (N, K) holds the probabilities of the clusters. Sure items are the share SURE of each cluster, the most
    probable ones.
    """
    count, k = belief.shape
    cluster, height = belief.argmax(1), belief.max(1)
    thresholds = np.zeros(k)
    for number in np.unique(cluster):
        thresholds[number] = np.quantile(height[cluster == number], 1 - SURE)
    voters = (height >= thresholds[cluster])[neighbours]
    voters &= voters.cumsum(1) <= HEARD
    cells = np.nonzero(voters)[0] * k + cluster[neighbours][voters]
    counts = np.bincount(cells, minlength=count * k).reshape(count, k)
    shares: NDArray[np.float64] = counts / voters.sum(1, keepdims=True).clip(1)
    return shares
