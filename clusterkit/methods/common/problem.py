"""What every method takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import BatchNorm, ClusterConfig, Kind
from clusterkit.datasets.base import Subset
from clusterkit.device import derive_seed
from clusterkit.networks.build import BackboneNet, ClusterNet, SimilarityNet
from clusterkit.pairs.reordered import reordered
from clusterkit.pairs.source import PairSource


@dataclass(frozen=True)
class Problem:
    """One subset to sort into `k` clusters by what is believed of its pairs.

    `pairs` is None for a method that consumes none; `k` means nothing to one that finds it. `g` is the network that
    predicted the pairs, where the method starts from it or works on its features, and `bn` says whose statistics it
    normalises by. `start` is another network whose backbone a whole network starts from, or gives the features.
    `state` is where a training keeps its state, `key` names everything that the result depends on.
    """

    subset: Subset
    kind: Kind
    shape: tuple[int, ...]
    k: int
    pairs: PairSource | None
    config: ClusterConfig
    seed: int
    device: torch.device
    state: Path
    key: str
    resume: bool = False
    g: SimilarityNet | None = None
    bn: BatchNorm = BatchNorm.TARGET
    start: BackboneNet | None = None


@dataclass(frozen=True)
class Clustering:
    """`cluster` (N,) int32, -1 for unassigned; `prob` (N, K) float32; the trained network, where there is one."""

    cluster: NDArray[np.int32]
    prob: NDArray[np.float32]
    network: ClusterNet | None = None

    @property
    def found(self) -> int:
        """How many clusters are not empty."""
        return len(set(self.cluster.tolist()) - {-1})


def hard(cluster: NDArray[np.integer], k: int) -> Clustering:
    """Return the clustering of a method that gives no probabilities: each item in its cluster with certainty.

    An item in no cluster (-1) has no probability of any.
    """
    prob = np.zeros((len(cluster), k), np.float32)
    inside = np.flatnonzero(cluster >= 0)
    prob[inside, cluster[inside]] = 1
    return Clustering(cluster.astype(np.int32), prob)


MethodFunction = Callable[[Problem], Clustering]


def solve(method: MethodFunction, problem: Problem) -> Clustering:
    """Cluster the items in a random order that follows from the seed; return the clusters in the items' own order.

    Methods break ties by position, and a folder is read class by class: its order would reach the clusters.
    """
    generator = torch.Generator().manual_seed(derive_seed(problem.seed, "order", problem.subset.name))
    order = torch.randperm(len(problem.subset), generator=generator)
    pairs = None if problem.pairs is None else reordered(problem.pairs, order)
    found = method(replace(problem, subset=problem.subset.take(order), pairs=pairs))
    back = order.argsort().numpy()
    return replace(found, cluster=found.cluster[back], prob=found.prob[back])
