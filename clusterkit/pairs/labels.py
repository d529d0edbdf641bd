"""Pairs known from labels, for the supervised study of the losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.pairs.source import CERTAIN


@dataclass(frozen=True)
class LabelPairs:
    """`labels` (N,): similar where they are equal, and NaN, not known, with an item that is unlabelled (-1)."""

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        first, second = self.labels[rows][:, None], self.labels[columns][None]
        logits = (first == second).float() * (2 * CERTAIN) - CERTAIN
        return logits.masked_fill_((first < 0) | (second < 0), torch.nan)

    def to(self, device: torch.device) -> "LabelPairs":
        return LabelPairs(self.labels.to(device))
