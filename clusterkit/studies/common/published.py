"""Figures of papers to compare with: the lines of `published.csv`.

L2C is Hsu, Lv and Kira (2018); CCL is Hsu, Lv, Schlosser, Odom and Kira (2018); SPN is Hsu, Lv and Kira (2016);
SUPREME is Huang and Gong (2020); DTC is Han, Vedaldi and Zisserman (2019); AutoNovel is Han, Rebuffi, Ehrhardt, Vedaldi
and Zisserman (2020, 2021); C2M is Alami, Kaddah and Read (2023). SPN calls LPNMF NMF-LP, LSC SC-LS, and spectral
clustering N-Cuts.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from clusterkit.metrics.rows import Row

KEY = ("set", "subset", "method", "loss", "k", "metric")


@dataclass(frozen=True)
class Figure:
    """A value in a table of a paper. The fields before it are those of the rows that it is compared with."""

    set: str
    subset: str
    method: str
    loss: str
    k: str
    metric: str
    value: float
    paper: str
    table: str


@cache
def figures() -> tuple[Figure, ...]:
    """Return all published figures, in the order of the file."""
    text = files("clusterkit.studies").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(Figure(value=float(line.pop("value")), **line) for line in csv.DictReader(text.splitlines()))


@cache
def values() -> dict[tuple[str, ...], float]:
    return {(figure.paper, *(getattr(figure, name) for name in KEY)): figure.value for figure in figures()}


def find(papers: Iterable[str], **key: str) -> float | None:
    """Return the figure for this set, subset, method, loss, k and metric in the first paper that has one."""
    matches = [values().get((paper, *(key.get(name, "") for name in KEY))) for paper in papers]
    return next((value for value in matches if value is not None), None)


def fill(rows: Sequence[Row], papers: Sequence[str], **other: str) -> list[Row]:
    """Return the rows, each with its published figure; figures that rows already have are kept.

    `other` replaces fields of every row in the look-up, for papers with one figure for several rows.
    """
    return [
        row
        if row.published is not None
        else replace(row, published=find(papers, **{name: getattr(row, name) for name in KEY} | other))
        for row in rows
    ]
