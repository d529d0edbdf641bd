"""Pairs of items whose similarity is the calibrated cosine of their features under a metric."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CosinePairs:
    """Rows `z` (N, W) of length one, and the `scale` () and `bias` () of the logits scale z_i . z_j + bias."""

    z: Tensor
    scale: Tensor
    bias: Tensor

    def __len__(self) -> int:
        return len(self.z)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the logits (R, C)."""
        return self.scale * (self.z[rows] @ self.z[columns].T) + self.bias

    def ordered_logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the logits (R, C), which do not depend on the order of an item and its partner."""
        return self.logits(rows, columns)

    def to(self, device: torch.device) -> "CosinePairs":
        return CosinePairs(*(part.to(device) for part in (self.z, self.scale, self.bias)))
