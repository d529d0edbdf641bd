"""Pairs in `pairs.h5`: from sources to arrays and back."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.artifacts.hdf5 import Array, Blocks, Group
from clusterkit.config import Form
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.source import PairSource
from clusterkit.pairs.tiles import SIZE, tiles

DENSE_LIMIT = 10_000
"""The largest N whose N x N logits are stored by default: 200 MB."""


def to_group(pairs: FactoredPairs, ids: Tensor, form: Form) -> Group:
    """Return the arrays of one subset: `id` and, by the form, `logit` or the factors."""
    if form is Form.DENSE or (form is Form.AUTO and len(pairs) <= DENSE_LIMIT):
        return {"id": ids.numpy(), "logit": Blocks((len(pairs), len(pairs)), "<f2", (SIZE, SIZE), _halves(pairs))}
    return {
        "id": ids.numpy(),
        "u": pairs.u.numpy(),
        "v": pairs.v.numpy(),
        "weight": pairs.weight.numpy(),
        "bias": pairs.bias.reshape(1).numpy(),
    }


def _halves(pairs: FactoredPairs) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float16]]]:
    limit = float(np.finfo(np.float16).max)
    for rows, columns, logits in tiles(pairs):
        half = logits.clamp(-limit, limit).half().numpy()
        yield (rows, columns), half
        if rows != columns:
            yield (columns, rows), half.T


def from_group(group: Mapping[str, Array]) -> PairSource:
    """Return the pair source that a subset's arrays hold. Raises KeyError where they hold none."""
    if "logit" in group:
        return DensePairs(torch.from_numpy(group["logit"]))
    u, v, weight, bias = (torch.from_numpy(group[name]) for name in ("u", "v", "weight", "bias"))
    return FactoredPairs(u, v, weight, bias[0])
