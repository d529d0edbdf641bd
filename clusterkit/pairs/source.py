"""The interface of all sources of pairs."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

CERTAIN = 16.0
"""Logit of a pair that is known, not predicted."""


ROWS = 512
"""Rows of pairs that are computed at a time for a matrix."""
AT_A_TIME = 2**25
"""Most pairs that are computed at a time where all pairs of a set are gone through."""


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


def in_blocks(count: int, most: int) -> Sequence[Tensor]:
    """Return the positions of N items in blocks of at most `most`, fewer if their pairs with all items are too many."""
    size = max(1, min(most, AT_A_TIME // max(1, count)))
    return [torch.arange(start, min(start + size, count)) for start in range(0, count, size)]


def logit_matrix(pairs: PairSource, positions: Tensor) -> Tensor:
    """Return the logits (P, P) of all pairs of the positions (P,), in O(P^2) memory."""
    return torch.cat([pairs.logits(rows, positions) for rows in positions.split(ROWS)])
