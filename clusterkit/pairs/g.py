"""What G says of the pairs of a set."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.config import BatchNorm
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.target_statistics import set_target_statistics
from clusterkit.pairs.factored import FactoredPairs


def g_pairs(network: SimilarityNet, subset: Subset, bn: BatchNorm, device: torch.device) -> FactoredPairs:
    """Return G's factors for N items, on the CPU; any block size and order of the items gives the same.

    With `bn` target every batch normalisation uses the statistics of these items, the pair head's over all their
    N^2 pairs; with source the running statistics of G's training.
    """
    network = copy.deepcopy(network).to(device).eval()

    def blocks() -> Iterator[Tensor]:
        return (to_float(items) for items in subset.blocks(device))

    if bn is BatchNorm.TARGET:
        set_target_statistics(network.backbone, network.features, blocks)
    with torch.no_grad():
        features = torch.cat([network.features(block) for block in blocks()])
        u, v = network.head.factors(features, batch_statistics=bn is BatchNorm.TARGET)
        out = network.head.out
        return FactoredPairs(u.cpu(), v.cpu(), out.weight[0].detach().cpu(), out.bias[0].detach().cpu())
