"""The interface between where pair information comes from and what is made of it."""

from typing import Protocol

import torch
from torch import Tensor

CERTAIN = 16.0
"""The logit of a pair that is known, not predicted."""


ROWS = 512
"""Rows of pairs that are asked for at a time where all of them are wanted."""


class PairSource(Protocol):
    """What is believed of the pairs of N items."""

    def __len__(self) -> int: ...

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return symmetric logits (R, C), positive for similar, of the pairs of these positions."""
        ...

    def to(self, device: torch.device) -> "PairSource":
        """Return the source on a device, where a training on that device asks for logits by positions on it."""
        ...


def logit_matrix(pairs: PairSource, positions: Tensor) -> Tensor:
    """Return the logits (P, P) of the pairs of these positions (P,), for few enough of them."""
    return torch.cat([pairs.logits(rows, positions) for rows in positions.split(ROWS)])
