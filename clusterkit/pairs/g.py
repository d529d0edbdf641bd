"""Pairs that G predicts for a set."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from clusterkit.augment import to_float
from clusterkit.config import BatchNorm
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.errors import InputError
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.metric import CosineHead
from clusterkit.networks.predict import finite
from clusterkit.networks.target_statistics import Sums, blocks_of, mean_and_variance, sums
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.factored import FactoredPairs

MAPPED_FROM = 200_000
"""Largest number of items whose factors are computed in memory; factors of more items are kept in files."""
BLOCK = 10_000
"""Items whose factors are folded at a time."""


def check_has_pairs(data: Dataset, name: str) -> None:
    """Raise InputError for a set with a subset of one item; `name` is how the user names it."""
    for subset in data.subsets:
        if len(subset) < 2:
            raise InputError(
                f"data set {name}: subset {subset.name} holds only one item, which has no pairs; name another set"
            )


def g_pairs(
    network: SimilarityNet, subset: Subset, bn: BatchNorm, device: torch.device, folder: Path | None = None
) -> FactoredPairs | CosinePairs:
    """Return G's factors for N items, on the CPU, which do not depend on the block size or the order of the items.

    With `bn` target, the backbone normalises by the statistics of these items (`blocks_of`), and the pair head by those
    of all their N^2 pairs; a metric is centred on these items. With `bn` source, all use the statistics of G's
    training. If `folder` is set, the factors of more than MAPPED_FROM items lie in files of this folder, not in memory.
    """
    network = copy.deepcopy(network).to(device).eval()
    head = network.head

    if bn is BatchNorm.TARGET:
        network.take_statistics(blocks_of(subset, device))
    if isinstance(head, CosineHead):
        with torch.no_grad():
            z = torch.cat([finite(network.features(to_float(items))).cpu() for items in subset.blocks(device)])
        finite(head.scale.abs() + head.bias.abs())
        return CosinePairs(z, head.scale.cpu(), head.bias.cpu())
    u, v = (_empty(len(subset), len(head.scale), folder and folder / f"{subset.name}.{name}") for name in "uv")
    parts: tuple[list[Sums], list[Sums]] = ([], [])
    with torch.no_grad():
        start = 0
        for items in subset.blocks(device):
            block = to_float(items)
            for projected, out, part in zip(head.project(network.features(block)), (u, v), parts, strict=True):
                out[start : start + len(block)] = projected
                part.append(sums(projected))
            start += len(block)
        head.cpu()
        mean, variance = head.running_mean, head.running_var
        if bn is BatchNorm.TARGET:
            # Over all ordered pairs, the mean and the variance of u_i + v_j are sums of those of u and v.
            u_moments, v_moments = (mean_and_variance(part) for part in parts)
            mean, variance = (u_moments[0] + v_moments[0]).float(), (u_moments[1] + v_moments[1]).float()
        largest = torch.zeros(2, u.shape[1])
        for u_block, v_block in zip(u.split(BLOCK), v.split(BLOCK), strict=True):
            parts_of = zip((u_block, v_block), head.fold(u_block, v_block, mean, variance), largest, strict=True)
            for raw, folded, most in parts_of:
                raw.copy_(folded)
                torch.maximum(most, folded.abs().amax(0), out=most)
        # No sum of the logits of both orders is larger than this, so none is infinite or, as a difference, unknown.
        finite(2 * (largest.sum(0) @ head.weight.abs() + head.bias.abs()))
    return FactoredPairs(u, v, head.weight.detach(), head.bias.detach())


def _empty(count: int, hidden: int, file: Path | None) -> Tensor:
    """Return an uninitialised tensor (N, H). It lies in `file`, if there is one and N is large."""
    if file is None or count <= MAPPED_FROM:
        return torch.empty(count, hidden)
    return torch.from_file(str(file), shared=True, size=count * hidden).view(count, hidden)
