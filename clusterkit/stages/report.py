"""report: writes a page to look at and a table to work with."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterkit.artifacts.assignments import Assignment, names_of, read_assignments
from clusterkit.artifacts.files import together
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import again
from clusterkit.config import Context, Kind, ReportConfig
from clusterkit.console import printable
from clusterkit.datasets.base import Dataset, Subset, in_files
from clusterkit.datasets.catalogue import load_recorded, parse
from clusterkit.datasets.grown import check_content
from clusterkit.device import choose_device, derive_seed
from clusterkit.errors import InputError, UsageError
from clusterkit.features.load import with_features
from clusterkit.methods.common.check import warn_of_hours
from clusterkit.methods.common.outputs import outputs
from clusterkit.metrics.clustering import scores
from clusterkit.metrics.pairs import SAMPLE
from clusterkit.pairs.clusters import small_values
from clusterkit.report import folders
from clusterkit.report import map as maps
from clusterkit.report.beside import Beside, logits_of, read_beside
from clusterkit.report.duplicates import duplicates
from clusterkit.report.features import features_of
from clusterkit.report.folders import Picture
from clusterkit.report.page import Page, render
from clusterkit.report.rows import Row, certainty, rows_of, to_csv
from clusterkit.report.section import CLASSES, Room, Section, confusion_of, histogram_of, map_view, room, section_of

log = logging.getLogger("clusterkit")

OUTPUT = "report.html"
TABLE = "clusters.csv"
UNASSIGNED = "unassigned"
"""The folder of pictures in no cluster, unless a class has this name."""


@dataclass(frozen=True)
class ReportResult:
    """The page and the table; `rows` has a row per item, and `duplicates` the ids of each group, by subset.

    `undo` is the script that moves the pictures back, if they were moved.
    """

    artifact: Path
    table: Path
    dataset: str
    rows: list[Row]
    duplicates: dict[str, list[list[int]]]
    undo: Path | None = None


def run(config: ReportConfig, context: Context) -> ReportResult:
    """Write `report.html` and `clusters.csv` of an assignments file, and put pictures into `config.folders`.

    Raises UsageError for a truth that the set does not have and for folders that cannot be used, and InputError for
    files or data that are missing, damaged or do not match.
    """
    if config.folders is None and context.is_given(config, "by"):
        raise UsageError("--by works only with --folders; leave it out or give --folders")
    if context.reading.labels is not None and not config.truth:
        raise UsageError("--labels works only with --truth; leave it out or give --truth")
    path = context.find(config.assignments)
    header, assignments = read_assignments(path)
    data = load_recorded(header.dataset, context, path, labels=context.reading.labels)
    check(config, header, path, data, assignments)
    pictures, home = pictures_of(data, assignments, header), home_of(data)
    if config.folders is not None:
        folders.check(pictures, config.folders, config.by, home)
    beside = read_beside(header, path)
    vectors = vectors_of(data, beside, context)
    for note in beside.notes:
        log.info("report: %s", note)
    parts = [(subset, assignments[subset.name]) for subset in data.subsets]
    limits = room([len(set(assignment.cluster.tolist()) - {-1}) for _, assignment in parts])
    truth = data.classes if config.truth else None
    most = max(maps.FEWEST, maps.MOST // len(parts))
    sections = [section(*part, data, beside, vectors, truth, limits, most, context) for part in parts]
    named = [one.scores for one in sections if one.scores is not None]
    mean = {name: float(np.mean([one[name] for one in named])) for name in named[0]} if named else None
    page = Page(
        printable(path.name),
        header,
        in_files(len(data.listed)) if data.listed else printable(data.name),
        TABLE,
        beside,
        sections,
        mean,
    )
    rows = [row for one in sections for row in one.rows]
    table, output = context.path(TABLE), context.path(OUTPUT)
    with together(table, output) as (table_file, page_file):
        table_file.write_text(to_csv(rows, truth=config.truth), encoding="utf-8", newline="")
        page_file.write_text(render(page), encoding="utf-8")
    # Comes last, because a placing that fails takes itself back, and a later failure would leave the pictures moved.
    undo = None if config.folders is None else folders.place(pictures, config.folders, config.by, home)
    ids = {
        one.name: [subset.ids[group.members].tolist() for group in one.groups]
        for (subset, _), one in zip(parts, sections, strict=True)
    }
    return ReportResult(output, table, data.name, rows, ids, undo)


def check(config: ReportConfig, header: Header, path: Path, data: Dataset, assignments: dict[str, Assignment]) -> None:
    """Raise InputError for assignments of other items than the data set has, and UsageError for a set without truth."""
    check_content(header, path, data, (assignment.name_digest for assignment in assignments.values()))
    for subset in data.subsets:
        if subset.name not in assignments or assignments[subset.name].id.tolist() != subset.ids.tolist():
            raise InputError(f"{path}: has other items than {data.title}; run: {again(header, path)}")
    if config.truth and all(subset.labels is None for subset in data.subsets):
        raise UsageError(f"--truth: {data.title} has no labels; leave it out, or name a file of them with --labels")


def pictures_of(data: Dataset, assignments: dict[str, Assignment], header: Header) -> list[Picture]:
    """Return the items that are image files, with their folders: the cluster, below the subset if there are several."""
    pictures = []
    for subset in data.subsets:
        titles = names_of(header, subset.name) or [None] * assignments[subset.name].k
        named = [f"{cluster:03d}" if name is None else name for cluster, name in enumerate(titles)]
        *names, unassigned = folders.distinct([*named, UNASSIGNED])
        above = (subset.name,) if len(data.subsets) > 1 else ()
        for i, file in enumerate(subset.files or ()):
            cluster = int(assignments[subset.name].cluster[i])
            pictures.append(Picture(int(subset.ids[i]), file, (*above, unassigned if cluster < 0 else names[cluster])))
    return pictures


def home_of(data: Dataset) -> Path | None:
    """Return the folder of a set of the user's own image files; None for files that were named one by one."""
    name = parse(data.name)
    return Path(name.argument) if name.source == "folder" and not data.listed else None


def section(
    subset: Subset, assignment: Assignment, data: Dataset, beside: Beside, vectors: Mapping[str, Subset],
    truth: Sequence[str] | None, limits: Room, most: int, context: Context,
) -> Section:  # fmt: skip
    """Return what the page shows of one subset, with a map of at most `most` items.

    `vectors` are the features by fixed backbones that the page needs, by subset.
    """
    header, is_images = beside.header, data.kind is not Kind.VECTORS
    log.info("report %s: comparing %d items, and drawing a map", subset.name, len(subset))
    device = choose_device(context.device)
    features = features_of(subset, beside, context.seed, device, vectors.get(subset.name))
    warn_of_hours(f"report: the {len(subset)} items of {subset.name}", features.values.shape[1] * len(subset) ** 2)
    sure = certainty(assignment, features.values)
    rows = rows_of(subset, assignment, sure, features.values, names_of(header, subset.name), truth)
    groups = duplicates(small_values(subset), data.shape[0] if is_images else None)
    seed = derive_seed(context.seed, "report", subset.name)
    result = section_of(subset, assignment, rows, sure, groups, limits, seed)
    result.features, result.groups = features.about, groups
    result.fill(subset, is_images=is_images, inverted=bool(data.inverted))
    drawn = maps.draw(features.values, most, seed)
    result.map = None if drawn is None else map_view(drawn, assignment.cluster)
    pairs = beside.pairs_of(subset)
    if pairs is not None:
        logits = logits_of(pairs, seed, SAMPLE)
        result.histogram = histogram_of(logits) if len(logits) else None
    result.estimates = (beside.estimates or {}).get(subset.name)
    result.constraints = constraints_of(header, subset.name)
    if truth is not None and subset.labels is not None:
        is_labelled = subset.labels.numpy() >= 0
        if is_labelled.any():
            labels = subset.labels.numpy()[is_labelled]
            result.scores = scores(assignment.cluster[is_labelled], labels, outputs(header, assignment))
            table = confusion_of(rows)
            result.confusion, result.more_classes = table[:CLASSES], max(0, len(table) - CLASSES)
    return result


def vectors_of(data: Dataset, beside: Beside, context: Context) -> dict[str, Subset]:
    """Return the features by the fixed backbones behind the assignments, by subset, as far as the page needs them.

    It does not if the pairs are there. A backbone that is no longer here is noted, and nothing returned.
    """
    vectors = {
        subset.name: replace(subset, images=torch.from_numpy(beside.features[subset.name].x))
        for subset in data.subsets
        if subset.name in beside.features and beside.features[subset.name].id.tolist() == subset.ids.tolist()
    }
    have_pairs = all(beside.pairs_of(subset) is not None for subset in data.subsets)
    if vectors or have_pairs or not beside.header.dataset.get("features"):
        return vectors
    try:
        return {part.name: part for part in with_features(data, beside.header.dataset, context).subsets}
    except InputError as error:
        beside.notes.append(f"the features cannot be computed again, so pictures are compared by pixels: {error}")
        return {}


def constraints_of(header: Header, subset: str) -> list[tuple[str, int, int]]:
    """Return for must-link and cannot-link pairs of a subset how many hold and how many there are."""
    counts: dict[str, Any] = (header.extra.get("constraints") or {}).get(subset) or {}
    named = (("must-link", counts.get("must")), ("cannot-link", counts.get("cannot")))
    return [(name, each["held"], each["of"]) for name, each in named if each and each["of"]]
