"""Pairs from labels with simulated errors, to study which errors a clustering tolerates (L2C, appendix D)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clusterkit.pairs.source import CERTAIN

RANGE = 2**62
"""Draws are integers from 0 to RANGE - 1, so that a limit equal to RANGE still fits 64 bits."""
STEP, FIRST, SECOND = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Multiplier of positions before mixing, and the two factors of the mixing, as signed integers."""


@dataclass(frozen=True)
class SimulatedPairs:
    """Pairs of items with `labels` (N,), with errors that depend only on the pair and the seed.

    A pair of equal labels is dissimilar with probability 1 - `similar_recall`, a pair of different labels similar with
    probability 1 - `dissimilar_recall`. Only the share `density` of all pairs is known. Unknown pairs are NaN, which
    the losses leave out, as are all pairs of an unlabelled item (-1). The self-pair of a labelled item is always known
    and similar. With the same seed, a pair that is wrong at one recall is wrong at every lower recall.
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
        # One draw decides both: the lowest draws are errors, those from the density on are unknown pairs.
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
        """Return uniform integers (R, C) from 0 to RANGE - 1, the same for both orders of a pair."""
        first, second = (mixed(positions * STEP + self.seed) for positions in (rows, columns))
        # The sum of two mixed numbers does not depend on their order, and hardly any two pairs share it.
        return mixed(first[:, None] + second[None]).bitwise_and_(RANGE - 1)

    def _limit(self, share: float) -> int:
        return round(self.density * share * RANGE)


def mixed(x: Tensor) -> Tensor:
    """Return 64-bit integers in which each bit depends on all bits of `x` (the finaliser of splitmix64).

    Products wrap around. Right shifts copy the sign, so that x and ~x have the same result.
    """
    x = (x ^ (x >> 30)).mul_(FIRST)
    x = (x ^ (x >> 27)).mul_(SECOND)
    return x ^ (x >> 31)
