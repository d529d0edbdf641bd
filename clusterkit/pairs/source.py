"""The interface of all sources of pairs."""

from typing import Protocol

import torch
from torch import Tensor

CERTAIN = 16.0
"""Logit of a pair that is known, not predicted."""


ROWS = 512
"""Rows of pairs that are computed at a time for a matrix."""


class PairSource(Protocol):
    """The pairs of N items: for each, a logit of being similar, or NaN if it is unknown."""

    def __len__(self) -> int: ...

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the symmetric logits (R, C) of the pairs of positions `rows` (R,) and `columns` (C,).

        A positive logit means similar.
        """
        ...

    def to(self, device: torch.device) -> "PairSource":
        """Return the pairs for use on a device: `logits` then takes positions on that device."""
        ...


def logit_matrix(pairs: PairSource, positions: Tensor) -> Tensor:
    """Return the logits (P, P) of all pairs of the positions (P,), in O(P^2) memory."""
    return torch.cat([pairs.logits(rows, positions) for rows in positions.split(ROWS)])
