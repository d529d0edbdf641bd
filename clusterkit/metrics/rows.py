"""Results as rows: one figure a row, with all that says what it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of a clustering or of a similarity network; a field that does not apply is empty.

    `subset` is "mean" for a mean over the subsets of a set. `k` is the number of outputs, or `auto` or `known`.
    `published` is the figure of a paper for the same. `seconds` and `bytes` are what the run took, its most main
    memory.
    """

    set: str
    subset: str = ""
    method: str = ""
    loss: str = ""
    k: str = ""
    seed: int | None = None
    metric: str
    value: float
    published: float | None = None
    seconds: float | None = None
    bytes: int | None = None


def rows_of(scores: Mapping[str, float], **fields: Any) -> list[Row]:
    """Return a row of each score by its name."""
    return [Row(metric=metric, value=value, **fields) for metric, value in scores.items()]
