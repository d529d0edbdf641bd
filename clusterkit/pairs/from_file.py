"""Conversion of pairs to and from the arrays of `pairs.h5`."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from clusterkit.artifacts.hdf5 import Array, Blocks, Group
from clusterkit.config import Form
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.source import PairSource
from clusterkit.pairs.tile_log import Half, TileLog, half_tiles
from clusterkit.pairs.tiles import SIZE, Place

CPU = torch.device("cpu")
DENSE_LIMIT = 10_000
"""Largest N whose N x N logits are stored by default: 200 MB."""


def is_dense(count: int, form: Form) -> bool:
    """Return whether the logits of N items are stored as a matrix."""
    return form is Form.DENSE or (form is Form.AUTO and count <= DENSE_LIMIT)


def dense_bytes(count: int) -> int:
    return 2 * count**2


def to_group(
    pairs: FactoredPairs | CosinePairs, ids: Tensor, form: Form, log: TileLog | None = None, device: torch.device = CPU
) -> Group:
    """Return the arrays of one subset: `id`, and either `logit` or the factors, depending on the form.

    Pairs by cosines are always factors, because estimates of K and clusterings read their `z`. Logits are computed on
    the device while they are written, and kept in `log` tile by tile.
    """
    if isinstance(pairs, CosinePairs):
        scale, bias = (value.reshape(1).numpy() for value in (pairs.scale, pairs.bias))
        return {"id": ids.numpy(), "z": pairs.z.numpy(), "scale": scale, "bias": bias}
    if is_dense(len(pairs), form):
        halves = _computed(pairs, log, device)
        return {"id": ids.numpy(), "logit": Blocks((len(pairs),) * 2, "<f2", (SIZE, SIZE), _mirrored(halves))}
    return {
        "id": ids.numpy(),
        "u": pairs.u.numpy(),
        "v": pairs.v.numpy(),
        "weight": pairs.weight.numpy(),
        "bias": pairs.bias.reshape(1).numpy(),
    }


def _computed(pairs: FactoredPairs, log: TileLog | None, device: torch.device) -> Iterator[tuple[Place, Half]]:
    # A generator moves the factors when it starts, so that the device holds those of one subset at a time.
    pairs = pairs.to(device)
    yield from half_tiles(pairs) if log is None else log.tiles(pairs)


def _mirrored(halves: Iterator[tuple[Place, Half]]) -> Iterator[tuple[Place, Half]]:
    for (rows, columns), half in halves:
        yield (rows, columns), half
        if rows != columns:
            yield (columns, rows), half.T


def from_group(group: Mapping[str, Array]) -> PairSource:
    """Return the pairs in a subset's arrays. Raises KeyError if an array is missing."""
    if "logit" in group:
        return DensePairs(torch.from_numpy(group["logit"]))
    if "z" in group:
        z, scale, bias = (torch.from_numpy(group[name]) for name in ("z", "scale", "bias"))
        return CosinePairs(z, scale[0], bias[0])
    u, v, weight, bias = (torch.from_numpy(group[name]) for name in ("u", "v", "weight", "bias"))
    return FactoredPairs(u, v, weight, bias[0])
