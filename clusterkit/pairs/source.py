"""The interface between where pair information comes from and what is made of it."""

from typing import Protocol

import torch
from torch import Tensor

CERTAIN = 16.0
"""The logit of a pair that is known, not predicted."""


class PairSource(Protocol):
    """What is believed of the pairs of N items."""

    def __len__(self) -> int: ...

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return symmetric logits (R, C), positive for similar, of the pairs of these positions."""
        ...

    def to(self, device: torch.device) -> "PairSource":
        """Return the source on a device, where a training on that device asks for logits by positions on it."""
        ...
