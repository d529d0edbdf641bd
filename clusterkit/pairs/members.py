"""Pairs of items by the groups that several clusterings put them in."""

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-6
"""Smallest difference of a pair's share from 0 and 1."""


@dataclass(frozen=True)
class MemberPairs:
    """The groups (N, C) of items in C clusterings; a pair has the logit of the share that puts both items together."""

    groups: Tensor

    def __len__(self) -> int:
        return len(self.groups)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the logits (R, C)."""
        together = torch.zeros(len(rows), len(columns), dtype=torch.float64, device=self.groups.device)
        for first, second in zip(self.groups[rows].T, self.groups[columns].T, strict=True):
            together += first[:, None] == second
        return (together / self.groups.shape[1]).logit(EPSILON).float()

    def to(self, device: torch.device) -> "MemberPairs":
        return MemberPairs(self.groups.to(device))
