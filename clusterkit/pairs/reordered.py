"""Pairs of the same items in another order."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterkit.pairs.constraints import ConstrainedPairs
from clusterkit.pairs.source import PairSource


@dataclass(frozen=True)
class ReorderedPairs:
    """Pairs in which the item at each position i is the item at `order[i]` in `base`; `order` is (N,)."""

    base: PairSource
    order: Tensor

    def __len__(self) -> int:
        return len(self.order)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self.base.logits(self.order[rows], self.order[columns])

    def to(self, device: torch.device) -> "ReorderedPairs":
        return ReorderedPairs(self.base.to(device), self.order.to(device))


def reordered(pairs: PairSource, order: Tensor) -> PairSource:
    """Return the pairs of the items in `order` (N,), a permutation. ConstrainedPairs stay ConstrainedPairs."""
    if not isinstance(pairs, ConstrainedPairs):
        return ReorderedPairs(pairs, order)
    return replace(pairs, base=reordered(pairs.base, order), closure=pairs.closure.take(order.numpy()))
