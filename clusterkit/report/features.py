"""Vectors in which a report compares items: those of the network, their pairs, or their values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.device import derive_seed
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import finite
from clusterkit.pairs.clusters import small_values
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.source import PairSource, in_blocks
from clusterkit.report.beside import Beside

OTHERS = 1000
"""Random items whose pairs with an item describe it."""
ROWS = 500
"""Most items whose distances to all others are computed at a time."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Vectors (N, D) of the items of a subset, and words that say what they are."""

    values: Values
    about: str


def features_of(
    subset: Subset, beside: Beside, seed: int, device: torch.device, vectors: Subset | None = None
) -> Features:
    """Return the features of which the pairs are cosines, else the hidden layer of the network beside the assignments.

    Without a network they are the items' pairs, else their values. `vectors` are the features of the items by fixed
    backbones.
    """
    pairs = beside.pairs_of(subset)
    if isinstance(pairs, CosinePairs):
        return Features(pairs.z.numpy(), "the features that G compares")
    network, items = beside.network(subset.name), subset if vectors is None else vectors
    shape = tuple(next(items.batches([torch.zeros(1, dtype=torch.int64)])).shape[1:])
    if network is not None and network.architecture.shape == shape:
        if network.architecture.backbone is None and network.architecture.tail is None:
            return Features(layer(network, network.features, items, device), "the features that G compares")
        return Features(layer(network, network.bottleneck, items, device), f"the hidden layer of {beside.network_file}")
    if vectors is not None:
        return Features(small_values(vectors), "the features of a fixed backbone")
    if pairs is not None:
        return Features(profiles(pairs, derive_seed(seed, "report", subset.name)), "predicted pairs with other items")
    return Features(small_values(subset), "values" if len(shape) == 1 else "pixels")


def layer(network: ClusterNet, part: Callable[[Tensor], Tensor], subset: Subset, device: torch.device) -> Values:
    """Return what a part of a network gives for the clean items, (N, D)."""
    network.to(device).eval()
    with torch.no_grad():
        parts = [finite(part(to_float(items)).float().cpu()) for items in subset.blocks(device)]
    network.cpu()
    values: Values = torch.cat(parts).numpy()
    return values


def profiles(pairs: PairSource, seed: int) -> Values:
    """Return the probabilities (N, M) that an item is similar to each of M random ones; one half where unknown."""
    others = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))[:OTHERS]
    rows = torch.arange(len(pairs)).split(ROWS)
    logits = torch.cat([pairs.logits(part, others) for part in rows])
    values: Values = logits.nan_to_num(0).sigmoid().numpy()
    return values


def distances(left: Tensor, right: Tensor) -> Tensor:
    """Return the squared distances (A, B) of the rows of two matrices (A, D) and (B, D)."""
    square = left.square().sum(1)[:, None] + right.square().sum(1)
    return (square - 2 * left @ right.T).clamp_min(0)


def of_another_cluster(values: Values, cluster: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for each item (N,) the position of the nearest item of another cluster; -1 if there is none.

    Unassigned items (-1) are nobody's neighbours. Time is O(N^2 D).
    """
    points = torch.from_numpy(values - values.mean(0))
    clusters = torch.from_numpy(cluster)
    members = (clusters >= 0).nonzero()[:, 0]
    found = torch.full((len(points),), -1, dtype=torch.int64)
    if not len(members):
        return found.numpy()
    for rows in in_blocks(len(points), ROWS):
        apart = distances(points[rows], points[members])
        apart[clusters[rows][:, None] == clusters[members]] = torch.inf
        nearest = apart.argmin(1)
        is_there = apart.gather(1, nearest[:, None])[:, 0].isfinite()
        found[rows] = torch.where(is_there, members[nearest], -1)
    return found.numpy()
