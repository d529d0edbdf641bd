"""Pairs of a clustering, of the items whose cluster their nearest neighbours confirm."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.pairs.source import CERTAIN

SIDE = 16
"""Pixels a side from which on images are compared by means of squares: finer ones differ more by place than by kind."""
SEARCHED, HEARD = 60, 10
"""Of how many nearest items the first so many that are sure of their cluster have a say."""
SURE = 0.8
"""The share of each cluster that is sure of it: the rest would vote as it errs."""
SPREADS = 3
"""How often votes are cast: a group of items that are all unsure hears first of others, and then of itself."""
CONFIRMED = 0.5
"""From what mean of its own probability and its neighbours' votes on an item counts."""


@dataclass(frozen=True)
class ClusterPairs:
    """`cluster` (N,): similar where equal, and NaN, not known, with an item that is in none (-1)."""

    cluster: Tensor

    def __len__(self) -> int:
        return len(self.cluster)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        first, second = self.cluster[rows][:, None], self.cluster[columns][None]
        values = (first == second).float() * (2 * CERTAIN) - CERTAIN
        return values.masked_fill((first < 0) | (second < 0), torch.nan)

    def to(self, device: torch.device) -> "ClusterPairs":
        return ClusterPairs(self.cluster.to(device))


def nearest(subset: Subset) -> NDArray[np.intp]:
    """Return the positions (N, M) of each item's M nearest others, by the distance of their pixels or values.

    Cost: N^2 D, with D at most 256 times the channels of images.
    """
    from sklearn.neighbors import NearestNeighbors

    parts = []
    for block in subset.blocks(torch.device("cpu")):
        items = to_float(block)
        if items.ndim == 4 and min(items.shape[2:]) > SIDE:
            items = F.adaptive_avg_pool2d(items, SIDE)
        parts.append(items.flatten(1).numpy())
    values = np.concatenate(parts)
    count = min(SEARCHED, len(values) - 1)
    found: NDArray[np.intp] = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(values).kneighbors()[1]
    return found


def confirmed(prob: NDArray[np.float32], near: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the cluster (N,) that `prob` (N, K) and the votes of the items `near` (N, M) say together, -1 for none."""
    belief = prob.astype(np.float64)
    for _ in range(SPREADS):
        belief = (prob + votes(belief, near)) / 2
    return np.where(belief.max(1) >= CONFIRMED, belief.argmax(1), -1)


def votes(belief: NDArray[np.float64], near: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the shares (N, K) of the clusters of the first HEARD items `near` (N, M) that are sure of theirs."""
    count, k = belief.shape
    cluster, height = belief.argmax(1), belief.max(1)
    lowest = np.zeros(k)
    for number in np.unique(cluster):
        lowest[number] = np.quantile(height[cluster == number], 1 - SURE)
    heard = (height >= lowest[cluster])[near]
    heard &= heard.cumsum(1) <= HEARD
    places = np.nonzero(heard)[0] * k + cluster[near][heard]
    found = np.bincount(places, minlength=count * k).reshape(count, k)
    shares: NDArray[np.float64] = found / heard.sum(1, keepdims=True).clip(1)
    return shares
