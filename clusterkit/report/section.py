"""What a report shows of one subset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment
from clusterkit.datasets.base import Subset
from clusterkit.report.duplicates import Group
from clusterkit.report.map import SIDE
from clusterkit.report.rows import Certainty, Row
from clusterkit.report.thumbnails import Thumbnail, thumbnails

IN_CLUSTERS, DOUBTFUL, UNASSIGNED, DUPLICATES = 700, 200, 50, 50
"""Pictures of a page: in clusters, and in the lists of doubtful and unassigned items and of duplicates."""
PER_CLUSTER = 24
BINS = 20
"""Bars of the histogram of pairs."""
CLASSES, PARTS = 200, 8
"""Classes in the table of confusions, and clusters named for each."""


@dataclass(frozen=True)
class Room:
    """Pictures that one subset may show: in each cluster, of how many clusters, and in each list."""

    per_cluster: int
    clusters: int
    doubtful: int
    unassigned: int
    duplicates: int


def room(counts: Sequence[int]) -> Room:
    """Share the pictures of a page among subsets with these numbers of clusters."""
    parts = len(counts)
    most = max(1, IN_CLUSTERS // parts)
    shown = sum(min(count, most) for count in counts)
    return Room(
        max(1, min(PER_CLUSTER, IN_CLUSTERS // max(1, shown))), most, *(
            part // parts for part in (DOUBTFUL, UNASSIGNED, DUPLICATES)
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Item:
    """An item on the page: its name, what is known of it, and its picture.

    The picture is None for vectors, and for a file that can no longer be read; then the item `is_gone`.
    """

    name: str
    about: str
    picture: Thumbnail | None
    is_gone: bool


@dataclass(frozen=True)
class Strip:
    """Items in a row under a title; `more` counts those that are not shown."""

    title: str
    positions: list[int]
    more: int = 0


@dataclass(frozen=True)
class ClusterView:
    """A cluster on the page; `classes` are the most common true classes with their shares, if they are asked for."""

    number: int
    name: str | None
    size: int
    strips: list[Strip]
    classes: list[tuple[str, float]]


@dataclass(frozen=True)
class MapView:
    """Items on the map by cluster, -1 for none: position, x and y of each."""

    clusters: dict[int, list[tuple[int, int, int]]]
    shown: int
    side: int = SIDE


@dataclass
class Section:
    """One subset on the page. Lists hold positions in the subset, of which `items` has what is shown."""

    name: str
    about: str
    rows: list[Row]
    sure: Certainty
    clusters: list[ClusterView]
    more_clusters: int
    doubtful: Strip
    unassigned: Strip
    duplicates: list[tuple[Group, Strip]]
    more_duplicates: int
    features: str = ""
    groups: list[Group] = field(default_factory=list)
    items: dict[int, Item] = field(default_factory=dict)
    map: MapView | None = None
    histogram: list[int] | None = None
    estimates: Mapping[str, int] | None = None
    constraints: list[tuple[str, int, int]] = field(default_factory=list)
    scores: Mapping[str, float] | None = None
    confusion: list[tuple[str, int, list[tuple[str, int]], int]] = field(default_factory=list)
    more_classes: int = 0

    @property
    def median(self) -> float | None:
        """Return the median of the probabilities or else of the margins, None if there is none."""
        values = self.sure.margin if self.sure.probability is None else self.sure.probability
        known = values[~np.isnan(self.sure.margin)]
        return float(np.median(known)) if len(known) else None

    def fill(self, subset: Subset, *, is_images: bool, inverted: bool) -> None:
        """Make `items` of all positions that the section shows, with their pictures."""
        strips = [strip for view in self.clusters for strip in view.strips]
        strips += [self.doubtful, self.unassigned, *(strip for _, strip in self.duplicates)]
        shown = sorted({position for strip in strips for position in strip.positions})
        pictures = thumbnails(subset, shown, inverted=inverted) if is_images and shown else {}
        for position in shown:
            row, picture = self.rows[position], pictures.get(position)
            self.items[position] = Item(title_of(row), about(row), picture, is_images and picture is None)


def title_of(row: Row) -> str:
    return f"item {row.id}" if row.path is None else row.path


def cluster_title(number: int, name: str | None) -> str:
    if number < 0:
        return "no cluster"
    return f"cluster {number}" if name is None else f"cluster {number}, {name}"


def about(row: Row) -> str:
    """Return what is known of an item, in words."""
    parts = [cluster_title(row.cluster, row.name)]
    if row.probability is not None:
        parts.append(f"probability {row.probability:.2f}")
    if row.margin is not None:
        parts.append(f"margin {row.margin:.2f}")
    if row.truth is not None:
        parts.append(f"true class {row.truth}")
    return ", ".join(parts)


def section_of(
    subset: Subset, assignment: Assignment, rows: list[Row], sure: Certainty, groups: list[Group], limits: Room,
    seed: int,
) -> Section:  # fmt: skip
    """Choose what the page shows of a subset; `seed` chooses the random members of clusters."""
    cluster = assignment.cluster
    sizes = np.bincount(cluster[cluster >= 0], minlength=1)
    largest = [int(number) for number in np.argsort(-sizes, kind="stable") if sizes[number]]
    random = np.random.default_rng(seed)
    views = [view_of(number, cluster, rows, sure, limits.per_cluster, random) for number in largest[: limits.clusters]]
    outside = np.flatnonzero(cluster < 0)
    shown, room_left = [], limits.duplicates
    for group in groups:
        if room_left < 2:
            break
        members = group.members[:room_left]
        shown.append((group, Strip("", members, len(group.members) - len(members))))
        room_left -= len(members)
    return Section(
        rows[0].subset, f"{len(subset):,} items", rows, sure, views, len(largest) - len(views),
        cut("The most doubtful first", sure.doubtful, limits.doubtful),
        cut("", outside, limits.unassigned),
        shown, len(groups) - len(shown),
    )  # fmt: skip


def cut(title: str, positions: NDArray[np.int64], most: int) -> Strip:
    return Strip(title, positions[:most].tolist(), max(0, len(positions) - most))


def view_of(
    number: int, cluster: NDArray[np.int32], rows: list[Row], sure: Certainty, most: int, random: np.random.Generator
) -> ClusterView:
    """Choose at most `most` members of a cluster: half the most typical, a quarter random, a quarter doubtful."""
    members = np.flatnonzero(cluster == number)
    members = members[np.argsort(sure.rank[members], kind="stable")]
    if len(members) <= most:
        strips = [Strip("All, the most typical first", members.tolist())]
    else:
        end = most // 4
        rest = members[most - 2 * end : len(members) - end]
        drawn = sorted(random.choice(len(rest), end, replace=False).tolist())
        strips = [
            Strip("The most typical", members[: most - 2 * end].tolist()),
            Strip("Random", rest[drawn].tolist()),
            Strip("The most doubtful", members[::-1][:end].tolist()),
        ]
    truths = [rows[position].truth for position in members.tolist()]
    counts = Counter(truth for truth in truths if truth is not None)
    total = max(1, sum(counts.values()))
    classes = [(name, count / total) for name, count in counts.most_common(3)]
    return ClusterView(
        number, rows[int(members[0])].name, len(members), [strip for strip in strips if strip.positions], classes
    )


def map_view(drawn: tuple[NDArray[np.int64], NDArray[np.int64]], cluster: NDArray[np.int32]) -> MapView:
    """Return the places of a map by cluster, the largest cluster first, so that small ones lie on top."""
    chosen, places = drawn
    points: dict[int, list[tuple[int, int, int]]] = {}
    for position, (x, y) in zip(chosen.tolist(), places.tolist(), strict=True):
        points.setdefault(int(cluster[position]), []).append((position, x, y))
    ordered = sorted(points, key=lambda number: (number >= 0, -len(points[number]), number))
    return MapView({number: points[number] for number in ordered}, len(chosen))


def histogram_of(logits: NDArray[np.float32]) -> list[int]:
    """Return how many of the pairs (P,) have a probability in each of BINS equal parts of 0..1."""
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    counts: list[int] = np.histogram(probability, BINS, (0, 1))[0].tolist()
    return counts


def confusion_of(rows: Sequence[Row]) -> list[tuple[str, int, list[tuple[str, int]], int]]:
    """Return for each true class its size, its most common clusters with counts, and the number of items elsewhere."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if row.truth is not None:
            found.setdefault(row.truth, Counter())[cluster_title(row.cluster, row.name)] += 1
    table = []
    for name in sorted(found):
        parts = sorted(found[name].items(), key=lambda part: (-part[1], part[0]))
        rest = sum(count for _, count in parts[PARTS:])
        table.append((name, found[name].total(), parts[:PARTS], rest))
    return table
