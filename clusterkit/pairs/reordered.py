"""The pairs of the same items in another order."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterkit.pairs.constraints import ConstrainedPairs
from clusterkit.pairs.source import PairSource


@dataclass(frozen=True)
class ReorderedPairs:
    """The item at each position is the one at `order` (N,) in `base`."""

    base: PairSource
    order: Tensor

    def __len__(self) -> int:
        return len(self.order)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self.base.logits(self.order[rows], self.order[columns])

    def to(self, device: torch.device) -> "ReorderedPairs":
        return ReorderedPairs(self.base.to(device), self.order.to(device))


def reordered(pairs: PairSource, order: Tensor) -> PairSource:
    """Return the pairs of the items at `order` (N,), a permutation; constraints stay constraints."""
    if not isinstance(pairs, ConstrainedPairs):
        return ReorderedPairs(pairs, order)
    place = order.argsort()
    return replace(pairs, base=reordered(pairs.base, order), a=place[pairs.a], b=place[pairs.b])
