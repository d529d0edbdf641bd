"""Pairs stored as a matrix of logits."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DensePairs:
    """Pairs with the logits `logit` (N, N), symmetric."""

    logit: Tensor

    def __len__(self) -> int:
        return len(self.logit)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        # Indexing rows first would read whole rows of a matrix that is mapped from a file.
        return self.logit[rows[:, None], columns].float()

    def to(self, device: torch.device) -> "DensePairs":
        return DensePairs(self.logit.to(device))
