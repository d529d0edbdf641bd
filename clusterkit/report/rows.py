"""The table of a report: one row per item."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment
from clusterkit.console import printable
from clusterkit.datasets.base import Subset
from clusterkit.metrics.doubts import UNSURE
from clusterkit.report.features import ROWS, Values, distances, of_another_cluster

DOUBTFUL = {False: UNSURE, True: 0.05}
"""The margin below which an item is doubtful, by whether margins are of distances."""
TINY = 1e-30
"""Divisor where two distances are zero."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""The first characters with which a spreadsheet takes a text as a formula."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One item. None stands for what the item does not have.

    `name` is the class of an output that is one, or the label of the cluster's examples. `rank` counts the members of a
    cluster from 1, the most typical.
    """

    subset: str
    id: int
    path: str | None
    cluster: int
    name: str | None
    probability: float | None
    margin: float | None
    rank: int | None
    neighbour: str | None
    neighbour_cluster: int | None
    truth: str | None = None


@dataclass(frozen=True)
class Certainty:
    """How sure each item's cluster is: `probability` (N,) or None, `margin` (N,) and `rank` (N,), 0 if unassigned.

    Margins are those of probabilities: that of the cluster minus the next highest. If a method gives no probabilities,
    they are `of_distances` to the means of the clusters: (b - a) / max(a, b), with a to the own mean and b to the
    nearest other one. A margin is NaN for an unassigned item, and if there is no other cluster.
    """

    of_distances: bool
    probability: NDArray[np.float32] | None
    margin: NDArray[np.float64]
    rank: NDArray[np.int64]

    @property
    def limit(self) -> float:
        """Return the margin below which an item is doubtful."""
        return DOUBTFUL[self.of_distances]

    @property
    def doubtful(self) -> NDArray[np.int64]:
        """Return the positions of doubtful items, the smallest margin first."""
        below = np.flatnonzero(self.margin < self.limit)  # NaN is not
        return below[np.argsort(self.margin[below], kind="stable")]


def certainty(assignment: Assignment, values: Values) -> Certainty:
    """Return how sure each assignment is, from its probabilities or else from the items' `values` (N, D)."""
    cluster, prob = assignment.cluster, assignment.prob
    inside = cluster >= 0
    own, other = to_means(values, cluster)
    of_distances = bool(((prob == 0) | (prob == 1)).all())
    if of_distances:
        is_between = inside & np.isfinite(other)
        a, b = own[is_between], other[is_between]
        margin = np.full(len(cluster), np.nan)
        margin[is_between] = (b - a) / np.maximum(np.maximum(a, b), TINY)
        probability = None
    else:
        at = np.maximum(cluster, 0)[:, None]
        probability = np.take_along_axis(prob, at, 1)[:, 0]
        rest = prob.copy()
        np.put_along_axis(rest, at, -1, 1)
        margin = probability.astype(np.float64) - rest.max(1)
    margin[~inside] = np.nan
    return Certainty(of_distances, probability, margin, ranks(cluster, margin, own))


def to_means(values: Values, cluster: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances (N,) to the mean of the own cluster and to the nearest other mean; infinity for none."""
    used = np.unique(cluster[cluster >= 0])
    own = np.full(len(cluster), np.inf)
    other = np.full(len(cluster), np.inf)
    if not len(used):
        return own, other
    points = torch.from_numpy(values - values.mean(0)).double()
    means = torch.stack([points[torch.from_numpy(cluster == number)].mean(0) for number in used])
    column = np.searchsorted(used, cluster)
    for rows in torch.arange(len(points)).split(ROWS):
        apart = distances(points[rows], means).sqrt().numpy()
        at = rows.numpy()
        is_inside = cluster[at] >= 0
        lines, columns = np.flatnonzero(is_inside), column[at][is_inside]
        own[at[is_inside]] = apart[lines, columns]
        apart[lines, columns] = np.inf
        other[at] = apart.min(1)
    return own, other


def ranks(cluster: NDArray[np.int32], margin: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank (N,) of each item in its cluster by margin, then by distance to the mean; 0 if unassigned."""
    order = np.lexsort((np.arange(len(cluster)), own, -np.nan_to_num(margin), cluster))
    ranks = np.zeros(len(cluster), np.int64)
    sorted_clusters = cluster[order]
    starts = np.searchsorted(sorted_clusters, sorted_clusters)
    ranks[order] = np.arange(len(cluster)) - starts + 1
    ranks[cluster < 0] = 0
    return ranks


def rows_of(
    subset: Subset, assignment: Assignment, sure: Certainty, values: Values,
    names: Sequence[str | None] | None, truth: Sequence[str] | None,
) -> list[Row]:  # fmt: skip
    """Return the rows of a subset in its order; `names` are those of the outputs, `truth` of the data set's classes."""
    neighbours = of_another_cluster(values, assignment.cluster).tolist()
    clusters = assignment.cluster.tolist()
    rows = []
    for i, (cluster, neighbour) in enumerate(zip(clusters, neighbours, strict=True)):
        label = -1 if subset.labels is None else int(subset.labels[i])
        margin = float(sure.margin[i])
        rows.append(
            Row(
                subset=printable(subset.name),
                id=int(subset.ids[i]),
                path=None if subset.names is None else subset.title(i),
                cluster=cluster,
                name=name_of(cluster, names),
                probability=None if sure.probability is None or cluster < 0 else round(float(sure.probability[i]), 6),
                margin=None if np.isnan(margin) else round(margin, 6),
                rank=int(sure.rank[i]) or None,
                neighbour=None if neighbour < 0 else subset.title(neighbour),
                neighbour_cluster=None if neighbour < 0 else clusters[neighbour],
                truth=None if truth is None or label < 0 else printable(truth[label]),
            )
        )
    return rows


def name_of(cluster: int, names: Sequence[str | None] | None) -> str | None:
    """Return the name of a cluster, None if it has none."""
    name = None if names is None or cluster < 0 else names[cluster]
    return None if name is None else printable(name)


def harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes as a formula: a text that could be one gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_csv(rows: Sequence[Row], *, truth: bool) -> str:
    """Return the rows as CSV with a header line, and with `truth` its column; None is an empty cell."""
    columns = [field.name for field in fields(Row) if truth or field.name != "truth"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in asdict(row).items()} for row in rows)
    return text.getvalue()
