"""Pairs of which every logit is held."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DensePairs:
    """`logit` (N, N), symmetric."""

    logit: Tensor

    def __len__(self) -> int:
        return len(self.logit)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        # Both at once: of a matrix that is mapped from a file, whole rows would be read.
        return self.logit[rows[:, None], columns].float()

    def to(self, device: torch.device) -> "DensePairs":
        return DensePairs(self.logit.to(device))
