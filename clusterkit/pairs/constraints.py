"""Pairs under the links of a user, which override other pairs and weigh more."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.links import Closure
from clusterkit.pairs.source import CERTAIN, PairSource


@dataclass(frozen=True, eq=False)
class ConstrainedPairs:
    """`base` with the logits of all linked pairs replaced.

    A linked pair counts as `weight` other pairs; None leaves the weight to the method. `alone` says that `base` knows
    no pair.
    """

    base: PairSource
    closure: Closure
    weight: float | None = None
    alone: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __len__(self) -> int:
        return len(self.base)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        out = self.base.logits(rows, columns)
        links = self.links(rows, columns)
        return torch.where(links == 0, out, CERTAIN * links.to(out))

    def links(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return for each pair (R, C) of positions 1 if it must be together, -1 if it cannot, and 0 if it is free."""
        first, second = self._group[rows], self._group[columns]
        links = ((first[:, None] == second) & (rows[:, None] != columns)).to(torch.int8)
        row, column = self._is_apart[first].nonzero()[:, 0], self._is_apart[second].nonzero()[:, 0]
        if len(row) and len(column):
            one, other = first[row][:, None], second[column]
            keys = torch.minimum(one, other) * len(self._is_apart) + torch.maximum(one, other)
            place = torch.searchsorted(self._keys, keys).clamp_max(len(self._keys) - 1)
            links[row[:, None], column] -= (self._keys[place] == keys).to(torch.int8)
        return links

    def weights(self, positions: Tensor) -> Tensor:
        """Return the weights (B, B) of the pairs of a batch of positions (B,), of mean one over all batches.

        In a batch that holds more or fewer linked pairs than a random one, each weighs less or more, so that the sum is
        the same. A kind of links without `weight`, must-links or cannot-links, counts as much as all other pairs.
        """
        links, pairs = self.links(positions, positions), len(positions) ** 2
        weights, total = torch.ones(links.shape, device=links.device), 1.0
        for sign, count in ((1, self.closure.count_together), (-1, self.closure.count_apart)):
            if count:
                part = 1.0 if self.weight is None else self.weight * count / len(self) ** 2
                here = links == sign
                weights = torch.where(here, part * pairs / here.sum().clamp_min(1), weights)
                total += part
        return weights / total

    def to(self, device: torch.device) -> "ConstrainedPairs":
        return replace(self, base=self.base.to(device), device=device)

    def __post_init__(self) -> None:
        groups = len(self.closure.size)
        is_apart = torch.zeros(groups, dtype=torch.bool)
        is_apart[torch.from_numpy(np.unique(self.closure.apart))] = True
        keys = torch.from_numpy(self.closure.apart[:, 0] * groups + self.closure.apart[:, 1])
        for name, value in (
            ("_group", torch.from_numpy(self.closure.group)), ("_is_apart", is_apart), ("_keys", keys)
        ):  # fmt: skip
            object.__setattr__(self, name, value.to(self.device))

    _group: Tensor = field(init=False, repr=False)
    _is_apart: Tensor = field(init=False, repr=False)
    _keys: Tensor = field(init=False, repr=False)


def constrain(base: PairSource | None, closure: Closure, weight: float | None = None) -> PairSource:
    """Lay links over the pairs of N items, of which None knows none. Without any link, return the pairs unchanged."""
    known = base if base is not None else LabelPairs(torch.full((len(closure.group),), -1))
    return ConstrainedPairs(known, closure, weight, alone=base is None) if closure.linked.any() else known


def in_place_of(pairs: PairSource, base: PairSource) -> PairSource:
    """Return `base` under the links of `pairs`, if it has any."""
    return replace(pairs, base=base) if isinstance(pairs, ConstrainedPairs) else base
