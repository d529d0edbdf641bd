"""Pairs known from labels and made wrong on purpose, for the study of what a clustering bears (L2C, appendix D)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterkit.pairs.source import CERTAIN

RANGE = 2**62
"""Draws are whole numbers from 0 to below it, so that a limit of RANGE itself still fits 64 bits."""
STEP, FIRST, SECOND = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""What neighbouring positions differ by before mixing, and the factors of the mixing, as signed integers."""


@dataclass(frozen=True)
class SimulatedPairs:
    """`labels` (N,): similar where they are equal, but for errors that are a fixed function of the pair and the seed.

    A similar pair is taken for a dissimilar one with probability 1 - `similar_recall`, a dissimilar one for a similar
    one with 1 - `dissimilar_recall`. Only the share `density` of all pairs is used; the others are NaN, which the
    losses leave out, and so are all pairs of an unlabelled item (-1). The pair of a labelled item with itself is always
    used and similar. With one seed, the pairs that are wrong at one recall are wrong at every lower one.
    """

    labels: Tensor
    similar_recall: float
    dissimilar_recall: float
    density: float
    seed: int

    def __len__(self) -> int:
        return len(self.labels)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        first, second = self.labels[rows][:, None], self.labels[columns][None]
        same = first == second
        draws = self.draws(rows, columns)
        # One draw decides both: below the share of errors among the pairs used, below the share used, or above it.
        missed, invented = (draws < self._limit(1 - recall) for recall in (self.similar_recall, self.dissimilar_recall))
        wrong = torch.where(same, missed, invented)
        logits = (same ^ wrong).float().mul_(2 * CERTAIN).sub_(CERTAIN)
        if self.density < 1:
            logits.masked_fill_(draws >= self._limit(1), torch.nan)
        logits.masked_fill_(rows[:, None] == columns[None], CERTAIN)
        return logits.masked_fill_((first < 0) | (second < 0), torch.nan)

    def to(self, device: torch.device) -> "SimulatedPairs":
        return replace(self, labels=self.labels.to(device))

    def draws(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return whole numbers (R, C) from 0 to below RANGE, evenly spread, the same for both orders of a pair."""
        first, second = (mixed(positions * STEP + self.seed) for positions in (rows, columns))
        # A sum of mixed numbers is that of no other pair, and does not know the order.
        return mixed(first[:, None] + second[None]).bitwise_and_(RANGE - 1)

    def _limit(self, share: float) -> int:
        return round(self.density * share * RANGE)


def mixed(x: Tensor) -> Tensor:
    """Return 64-bit integers in each bit of which every bit of `x` has its part (the finaliser of splitmix64).

    Products wrap around. Shifts to the right copy the sign, so that two numbers share each result, of 2^64.
    """
    x = (x ^ (x >> 30)).mul_(FIRST)
    x = (x ^ (x >> 27)).mul_(SECOND)
    return x ^ (x >> 31)
