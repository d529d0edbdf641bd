"""Pairs held as G's factors, N x H instead of N x N, from which any block of logits follows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.networks.pair_logits import pair_logits


@dataclass(frozen=True)
class FactoredPairs:
    """`u` and `v` (N, H), the output layer's `weight` (H,) and `bias` ()."""

    u: Tensor
    v: Tensor
    weight: Tensor
    bias: Tensor

    def __len__(self) -> int:
        return len(self.u)

    def ordered_logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return what G says of the ordered pairs (row, column): (R, C), before symmetrising."""
        return pair_logits(self.u[rows], self.v[columns], self.weight, self.bias)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the mean of the logits of (i, j) and (j, i)."""
        return (self.ordered_logits(rows, columns) + self.ordered_logits(columns, rows).T) / 2

    def of(self, some: Tensor) -> "FactoredPairs":
        """Return those of some of the items, at positions (M,)."""
        return FactoredPairs(self.u[some], self.v[some], self.weight, self.bias)

    def to(self, device: torch.device) -> "FactoredPairs":
        return FactoredPairs(*(part.to(device) for part in (self.u, self.v, self.weight, self.bias)))
