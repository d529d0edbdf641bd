"""What G's backbone makes of a set's items, for a clustering network that starts from it."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from clusterkit.augment import augment, to_float
from clusterkit.config import BatchNorm, Kind, Variation
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.target_statistics import blocks_of

VIEWS = 4
"""Augmented views of each item that are kept."""
ROOM = 2**30
"""Bytes that the features of all views may take; of a larger set fewer views are kept."""

Draw = Callable[[Tensor, torch.Generator], Tensor]


def on_target(g: SimilarityNet, subset: Subset, bn: BatchNorm, device: torch.device) -> SimilarityNet:
    """Return a copy of G on the device that normalises the subset as G's pairs were predicted."""
    g = copy.deepcopy(g).to(device).eval()
    if bn is BatchNorm.TARGET:
        g.take_statistics(blocks_of(subset, device))
    return g


def augmented_features(
    g: SimilarityNet,
    subset: Subset,
    kind: Kind,
    generator: torch.Generator,
    device: torch.device,
    variation: Variation = Variation.MILD,
) -> Draw:
    """Return a function that draws, for items at positions (B,), the features (B, D) of a random view of each.

    The backbone does not change, so each view is taken through it once. Vectors have one view, themselves.
    """
    size = 4 * len(subset) * g.backbone.features
    views = 1 if kind is Kind.VECTORS else min(VIEWS, max(1, ROOM // size))
    kept = torch.empty(views, len(subset), g.backbone.features, device=device)
    with torch.no_grad():
        for view in kept:
            done = 0
            for block in subset.blocks(device):
                items = augment(to_float(block), kind, generator, variation=variation)
                view[done : done + len(items)] = g.features(items)
                done += len(items)

    def draw(index: Tensor, generator: torch.Generator) -> Tensor:
        view = torch.randint(views, (len(index),), generator=generator).to(index.device)
        return kept[view, index]

    return draw
