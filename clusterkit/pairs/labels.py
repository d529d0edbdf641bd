"""Pairs known from labels, for the supervised study of the losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.pairs.source import CERTAIN


@dataclass(frozen=True)
class LabelPairs:
    """`labels` (N,): similar where they are equal."""

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        same = self.labels[rows][:, None] == self.labels[columns][None]
        return same.float() * (2 * CERTAIN) - CERTAIN

    def to(self, device: torch.device) -> "LabelPairs":
        return LabelPairs(self.labels.to(device))
