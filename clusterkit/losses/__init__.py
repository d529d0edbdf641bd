"""Losses on the cluster assignments of all pairs of a batch. Nothing heavy is imported before a loss is asked for.

A loss is the function of its own name in the file of its own name.
"""

from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING

from clusterkit.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    PairLoss = Callable[[Tensor, Tensor, float], Tensor]


class Loss(StrEnum):
    KCL = "kcl"
    CCL = "ccl"


ALIASES = {"mcl": Loss.CCL}
"""Other names under which a loss was published."""
WITH_MARGIN = {Loss.KCL}
"""Losses that take the margin sigma."""


def parse_loss(text: str) -> Loss:
    """Return a loss by any of its names. Raises UsageError for another name."""
    if text in ALIASES:
        return ALIASES[text]
    if text in list(Loss):
        return Loss(text)
    others = "; ".join(f"{loss} is also called {alias}" for alias, loss in ALIASES.items())
    raise UsageError(f"--loss {text}: choose {' or '.join(Loss)} ({others})")


def pair_loss(loss: Loss) -> "PairLoss":
    """Return a loss as a function of logits (B, K), similar (B, B) and sigma, which a loss without margin ignores."""
    function = getattr(import_module(f"clusterkit.losses.{loss}"), loss)
    if loss in WITH_MARGIN:
        return function  # type: ignore[no-any-return]
    return lambda logits, similar, sigma: function(logits, similar)
