"""Results as rows: one figure per row, with the fields that identify it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of a clustering or of a similarity network; a field that does not apply is empty.

    `subset` is "mean" for a mean over the subsets of a set. `k` is the number of outputs, `auto` or `known`.
    `published` is the corresponding figure of a paper. `seconds` and `bytes` are the time and the peak memory of the
    run.
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
    """Return one row per score, with the name of the score as `metric`."""
    return [Row(metric=metric, value=value, **fields) for metric, value in scores.items()]
