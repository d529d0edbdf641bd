"""Pairs stored as G's factors, N x H numbers instead of N x N, from which logits are computed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.networks.pair_logits import pair_logits


@dataclass(frozen=True)
class FactoredPairs:
    """G's factors `u` and `v` (N, H), and the `weight` (H,) and `bias` () of its output layer."""

    u: Tensor
    v: Tensor
    weight: Tensor
    bias: Tensor

    def __len__(self) -> int:
        return len(self.u)

    def ordered_logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return G's logits (R, C) of the ordered pairs (row, column), before symmetrising."""
        return pair_logits(self.u[rows], self.v[columns], self.weight, self.bias)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the logits (R, C), each the mean of both orders."""
        return (self.ordered_logits(rows, columns) + self.ordered_logits(columns, rows).T) / 2

    def of(self, positions: Tensor) -> "FactoredPairs":
        """Return the pairs of the items at positions (M,)."""
        return FactoredPairs(self.u[positions], self.v[positions], self.weight, self.bias)

    def to(self, device: torch.device) -> "FactoredPairs":
        return FactoredPairs(*(part.to(device) for part in (self.u, self.v, self.weight, self.bias)))
