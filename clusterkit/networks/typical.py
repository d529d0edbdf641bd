"""What the items of each cluster have in common, so that new items can be compared with them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.datasets.base import Dataset, Subset
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import represent

SAMPLE = 50_000
"""The largest number of items, evenly spaced, from which a cluster's mean and its usual distances are taken."""
SMALLEST = 10
"""A cluster of fewer items gets the spread of the whole set."""
USUAL = 0.95
"""The share of the clustered items that count as like their cluster, by the distance and by the probability."""
SUREST = 0.95
"""The largest usual probability, because a network is surer of the items it was trained on than of new ones."""
ROUNDING = 1e-4
"""The smallest spread of a cluster, above the rounding of equal items."""
LIKELY = 0.5
"""The least probability of an item that is like its cluster, for a network of which nothing is known."""


@dataclass(frozen=True)
class Typical:
    """K clusters of a network: what the items that it was trained on look like to it.

    `mean` (K, H) is the mean of each cluster's values of the hidden layer, `distance` (K,) the largest usual distance
    to it, 0 for an output without items, and `probability` () the least usual probability of an item's cluster. Without
    `mean` and `distance` only the probability is known.
    """

    probability: Tensor
    mean: Tensor | None = None
    distance: Tensor | None = None

    def unlike(self, hidden: Tensor, prob: Tensor) -> Tensor:
        """Return how unlike all clusters items are, above 1 for unlike, from their values (B, H) and (B, K)."""
        best, cluster = prob.max(1)
        if self.mean is None or self.distance is None:
            return (1 - best) / (1 - self.probability)
        used = self.distance > 0
        best = torch.where(used[cluster], best, 0)
        far = torch.cdist(hidden.double(), self.mean[used].double()) / self.distance[used]
        return (far.min(1).values.float() + (1 - best) / (1 - self.probability)) / 2

    def tensors(self, title: str) -> dict[str, Tensor]:
        """Return the tensors of a subset as a network's file holds them."""
        return {f"{_key(title)}{name}": value for name, value in vars(self).items() if value is not None}


UNKNOWN = Typical(torch.tensor(LIKELY))


def typical_of(network: ClusterNet, subset: Subset, device: torch.device) -> Typical:
    """Return what the items of a subset, on the device like the network, have in common by cluster."""
    count = len(subset)
    if count > SAMPLE:
        subset = subset.take(torch.arange(SAMPLE) * count // SAMPLE)
    hidden, prob = (torch.cat(values) for values in zip(*represent(network, subset, device), strict=True))
    best, cluster = prob.max(1)
    sizes = cluster.bincount(minlength=prob.shape[1])
    sums = torch.zeros(prob.shape[1], hidden.shape[1], dtype=torch.float64).index_add_(0, cluster, hidden.double())
    mean = sums / sizes.clamp_min(1)[:, None]
    # The distance to the mean of the other items, to which the item itself is as new as those of `assign`.
    members = sizes[cluster]
    distance = mean[cluster].sub_(hidden).norm(dim=1) * members / (members - 1).clamp_min(1)
    squares = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, cluster, distance.square())
    several = members > 1
    overall = distance[several].square().mean() if several.any() else torch.ones((), dtype=torch.float64)
    spread = torch.where(sizes >= SMALLEST, squares / sizes.clamp_min(1), overall).sqrt().clamp_min(ROUNDING)
    relative = distance[several] / spread[cluster[several]]
    usual = relative.quantile(USUAL).clamp_min(1) if several.any() else torch.ones(())
    return Typical(
        best.quantile(1 - USUAL).clamp_max(SUREST).float(),
        mean.float(),
        torch.where(sizes > 0, spread * usual, 0).float(),
    )


def typical_tensors(networks: Mapping[str, ClusterNet], data: Dataset, device: torch.device) -> dict[str, Tensor]:
    """Return the tensors of all subsets; the networks go to the device one after the other, and back to the CPU."""
    tensors: dict[str, Tensor] = {}
    for subset in data.subsets:
        network = networks[subset.name].to(device)
        tensors |= typical_of(network, subset.to(device), device).tensors(subset.name)
        network.cpu()
    return tensors


def read_typical(state: Mapping[str, Tensor], title: str, network: ClusterNet) -> Typical:
    """Return what the file of a network holds of a subset's clusters, UNKNOWN for nothing.

    Raises KeyError for a part, and ValueError for tensors of other shapes or with numbers that are not finite.
    """
    key = _key(title)
    values = {name.removeprefix(key): value for name, value in state.items() if name.startswith(key)}
    if not values:
        return UNKNOWN
    typical = Typical(values["probability"], values["mean"], values["distance"])
    k, width = network.architecture.outputs, network.architecture.hidden or network.backbone.features
    shapes = {"probability": (), "mean": (k, width), "distance": (k,)}
    for name, shape in shapes.items():
        if values[name].shape != shape or not values[name].isfinite().all():
            raise ValueError(f"{name} of another shape, or not finite")
    return typical


def _key(title: str) -> str:
    """Return the beginning of the tensors' names; without a dot after the subset they are no part of the network."""
    return f"typical/{title}/"
