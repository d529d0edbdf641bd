"""Losses on the cluster assignments of all pairs of a batch. Importing this module imports no heavy package.

Each loss is the function of its name in the file of its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from clusterkit.errors import UsageError
from clusterkit.settings import Flag, Options

if TYPE_CHECKING:
    from torch import Tensor

    PairLoss = Callable[..., Tensor]


class Loss(StrEnum):
    KCL = "kcl"
    CCL = "ccl"


ALIASES = {"mcl": Loss.CCL}
"""Other published names of the losses."""
WITH_MARGIN = {Loss.KCL}
"""Losses with a margin sigma."""


def parse_loss(text: str) -> Loss:
    """Return a loss by its name or alias. Raises UsageError for an unknown name."""
    if text in ALIASES:
        return ALIASES[text]
    if text in list(Loss):
        return Loss(text)
    aliases = "; ".join(f"{loss} is also called {alias}" for alias, loss in ALIASES.items())
    raise UsageError(f"--loss {text}: choose {' or '.join(Loss)} ({aliases})")


LossFlag = Annotated[
    Loss, Flag(help="Pair loss; mcl is another name for ccl.", read=parse_loss, metavar=f"[{'|'.join(Loss)}]")
]


@dataclass(frozen=True, kw_only=True)
class LossOptions(Options):
    """Options of a method that learns from pairs by a loss."""

    loss: LossFlag = Loss.CCL
    sigma: Annotated[float, Flag(help="Margin of kcl between dissimilar items.", min=0)] = 2.0

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        if self.loss not in WITH_MARGIN and is_given("sigma"):
            raise UsageError(f"--sigma: --loss {self.loss} has no margin; leave it out or use --loss kcl")


def pair_loss(loss: Loss) -> "PairLoss":
    """Return a loss as a function of logits (B, K), similar (B, B), sigma and optionally the pairs' weight (B, B).

    A loss without a margin ignores sigma.
    """
    function = getattr(import_module(f"clusterkit.losses.{loss}"), loss)
    if loss in WITH_MARGIN:
        return function  # type: ignore[no-any-return]
    return lambda logits, similar, sigma, weight=None: function(logits, similar, weight)
