"""New networks: for the items of a set, or on the backbone of another network."""

from dataclasses import replace
from typing import TypeVar

import torch

from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import Architecture, BackboneNet
from clusterkit.networks.fast import whiten
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.predict import limit_of, mean_and_std

Net = TypeVar("Net", bound=BackboneNet)
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def untrained(
    kind: type[Net],
    backbone: Backbone | None,
    items: Subset,
    seed: int,
    *,
    hidden: int,
    outputs: int = 1,
    members: int = 1,
    width: int | None = None,
    head: HeadKind = HeadKind.HIDDEN,
    statistics: Statistics | None = None,
) -> Net:
    """Return a network of a kind with random weights, which standardises items by `statistics` or those of the set.

    Every training of a new network starts here, because `vgg-fast` also takes its first layer from the items.
    """
    torch.manual_seed(seed)
    mean, std = statistics or mean_and_std(items)
    shape = items.shape
    architecture = Architecture(
        backbone, shape, mean, std, hidden, outputs, members, limit_of(shape), width, head=head
    )  # fmt: skip
    network = kind(architecture)
    whiten(network.backbone, network.standardise, items, seed)
    return network


def started(
    kind: type[Net], start: BackboneNet, seed: int, *, hidden: int, outputs: int = 1, head: HeadKind = HeadKind.HIDDEN
) -> Net:
    """Return a network of a kind on the backbone of another network; all that follows the backbone is random."""
    torch.manual_seed(seed)
    network = kind(replace(start.architecture, hidden=hidden, outputs=outputs, head=head))
    network.backbone.load_state_dict(start.backbone.state_dict())
    return network
