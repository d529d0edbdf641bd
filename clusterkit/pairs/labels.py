"""Pairs that follow from labels: of classes, for supervised studies, or of the clusters of an earlier round."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.pairs.source import CERTAIN


@dataclass(frozen=True)
class LabelPairs:
    """Pairs of items with `labels` (N,): similar if equal, dissimilar if not, NaN (unknown) if unlabelled (-1)."""

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        first, second = self.labels[rows][:, None], self.labels[columns][None]
        logits = (first == second).float() * (2 * CERTAIN) - CERTAIN
        return logits.masked_fill_((first < 0) | (second < 0), torch.nan)

    def to(self, device: torch.device) -> "LabelPairs":
        return LabelPairs(self.labels.to(device))
