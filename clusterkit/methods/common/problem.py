"""Inputs and results of methods."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clusterkit.config import BatchNorm, Kind
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import BackboneNet, ClusterNet, SimilarityNet
from clusterkit.pairs.links import Closure
from clusterkit.pairs.source import PairSource

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Inputs of a method of arrays: N items to sort into `k` clusters, with 0 for a method that finds K.

    `values` are (N, D), or (N, 0) for a method that reads none. `pairs` (M, M) are symmetric: signs or probabilities,
    as the method declares. They belong to the items at the positions `chosen` (M,). A method that reads no pairs gets
    (0, 0). A sign is multiplied by the weight of its pair, 1 unless a link of the user sets it. `links` holds what
    follows from these links, None without any, and `alone` says that no other pair is known. `seed` is that of the
    method for these items, as scikit-learn takes it. `title` names the items in messages. `features` says that the
    values are features by a network.
    """

    values: Array
    pairs: Array
    chosen: NDArray[np.int64]
    k: int
    options: Any
    seed: int
    title: str = "all"
    features: bool = False
    links: Closure | None = None
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The labelled source of a joint training: its items, and their `labels` (N,) as positions in `classes`.

    `head` are the outputs for these classes of a classifier on the features that the training starts from, if known.
    """

    subset: Subset
    kind: Kind
    labels: Tensor
    classes: tuple[str, ...]
    head: nn.Linear | None = None


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items of one subset, each of a `shape`, and the network that represents them, if there is one.

    `g` is the network that predicted the pairs, `bn` the statistics that it normalises by, and `start` another network.
    `source` is the labelled set of a method that learns one too.
    """

    subset: Subset
    kind: Kind
    shape: tuple[int, ...]
    g: SimilarityNet | None = None
    bn: BatchNorm = BatchNorm.TARGET
    start: BackboneNet | None = None
    source: Labelled | None = None

    def take(self, order: Tensor) -> "Items":
        """Return the items at positions (M,)."""
        return replace(self, subset=self.subset.take(order))


@dataclass(frozen=True, kw_only=True)
class Question:
    """The task for the items: `k` clusters from their pairs, with the method's options.

    `pairs` is None for a method that reads none, and `k` is 0 for a method that finds K.
    """

    k: int
    pairs: PairSource | None
    options: Any


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a method runs. `state` is the file of a training's state; `key` names all that the result depends on."""

    seed: int
    device: torch.device
    state: Path | None
    key: str
    resume: bool = False


@dataclass(frozen=True)
class Clustering:
    """`cluster` (N,) int32, -1 for unassigned; `prob` (N, K) float32; the trained network, if there is one.

    `history` holds the mean losses of each epoch of each training, by the training's title. `moved` counts the items
    that links put into other clusters than the network does. `compared` counts the items of the sample of which a
    consensus compared all pairs, 0 where there was no sample.
    """

    cluster: NDArray[np.int32]
    prob: NDArray[np.float32]
    network: ClusterNet | None = None
    history: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    moved: int = 0
    compared: int = 0

    @property
    def clusters(self) -> int:
        """Number of clusters that are not empty."""
        return len(set(self.cluster.tolist()) - {-1})


def hard(cluster: NDArray[np.integer], k: int) -> Clustering:
    """Return the clustering of a method without probabilities, in which each item is in its cluster with certainty.

    An item in no cluster (-1) has probability zero for every cluster.
    """
    prob = np.zeros((len(cluster), k), np.float32)
    inside = np.flatnonzero(cluster >= 0)
    prob[inside, cluster[inside]] = 1
    return Clustering(cluster.astype(np.int32), prob)
