"""What G says of the pairs of a set."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.config import BatchNorm
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.target_statistics import Sums, blocks_of, mean_and_variance, sums
from clusterkit.pairs.factored import FactoredPairs

MAPPED_FROM = 200_000
"""Items from which the factors are kept in files while they are worked on."""
BLOCK = 10_000


def g_pairs(
    network: SimilarityNet, subset: Subset, bn: BatchNorm, device: torch.device, folder: Path | None = None
) -> FactoredPairs:
    """Return G's factors for N items, on the CPU; any block size and order of the items gives the same.

    With `bn` target every batch normalisation uses the statistics of these items (`blocks_of`), the pair head's over
    all their N^2 pairs; with source the running statistics of G's training. The factors of very many items lie in files
    of `folder`, if there is one, not in memory.
    """
    network = copy.deepcopy(network).to(device).eval()
    head = network.head

    if bn is BatchNorm.TARGET:
        network.take_statistics(blocks_of(subset, device))
    u, v = (_room(len(subset), len(head.scale), folder and folder / f"{subset.name}.{name}") for name in "uv")
    parts: tuple[list[Sums], list[Sums]] = ([], [])
    with torch.no_grad():
        done = 0
        for items in subset.blocks(device):
            block = to_float(items)
            for projected, out, part in zip(head.project(network.features(block)), (u, v), parts, strict=True):
                out[done : done + len(block)] = projected
                part.append(sums(projected))
            done += len(block)
        head.cpu()
        mean, variance = head.running_mean, head.running_var
        if bn is BatchNorm.TARGET:
            # Over all ordered pairs the moments of u_i + v_j are those of u and of v added up.
            of_u, of_v = (mean_and_variance(part) for part in parts)
            mean, variance = (of_u[0] + of_v[0]).float(), (of_u[1] + of_v[1]).float()
        for one, other in zip(u.split(BLOCK), v.split(BLOCK), strict=True):
            for raw, folded in zip((one, other), head.fold(one, other, mean, variance), strict=True):
                raw.copy_(folded)
    return FactoredPairs(u, v, head.weight.detach(), head.bias.detach())


def _room(count: int, hidden: int, file: Path | None) -> Tensor:
    """Return an empty (N, H), in a file where there is one to use and the memory might not do."""
    if file is None or count <= MAPPED_FROM:
        return torch.empty(count, hidden)
    return torch.from_file(str(file), shared=True, size=count * hidden).view(count, hidden)
