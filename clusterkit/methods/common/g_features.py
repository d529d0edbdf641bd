"""Features of items by G's backbone, for a clustering network that is trained on them."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from clusterkit.augment import augment, to_float
from clusterkit.config import BatchNorm, Kind, Variation
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.predict import finite
from clusterkit.networks.target_statistics import blocks_of

VIEWS = 4
"""Augmented views kept of each item."""
ROOM = 2**30
"""Bytes for the features of all views. A larger set has fewer views."""

Draw = Callable[[Tensor, torch.Generator], Tensor]


def on_target(g: SimilarityNet, subset: Subset, bn: BatchNorm, device: torch.device) -> SimilarityNet:
    """Return a copy of G on the device, which normalises the subset as when its pairs were predicted."""
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
    """Return a function that draws the features (B, D) of a random view of each item at positions (B,).

    The backbone is frozen, so each view passes through it once. Vectors have one view, the vector itself.
    """
    size = 4 * len(subset) * g.backbone.features
    views = 1 if kind is Kind.VECTORS else min(VIEWS, max(1, ROOM // size))
    stored = torch.empty(views, len(subset), g.backbone.features, device=device)
    with torch.no_grad():
        for view in stored:
            start = 0
            for block in subset.blocks(device):
                items = augment(to_float(block), kind, generator, variation=variation)
                view[start : start + len(items)] = finite(g.features(items))
                start += len(items)

    def draw(index: Tensor, generator: torch.Generator) -> Tensor:
        view = torch.randint(views, (len(index),), generator=generator).to(index.device)
        return stored[view, index]

    return draw
