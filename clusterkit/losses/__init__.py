"""Losses on the cluster assignments of all pairs of a batch."""

from collections.abc import Callable

from torch import Tensor

from clusterkit.config import Loss
from clusterkit.losses.ccl import ccl
from clusterkit.losses.kcl import kcl

PairLoss = Callable[[Tensor, Tensor, float], Tensor]

LOSSES: dict[Loss, PairLoss] = {
    Loss.KCL: kcl,
    Loss.CCL: lambda logits, similar, sigma: ccl(logits, similar),
}
