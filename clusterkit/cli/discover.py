"""clusterkit discover"""

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import FIXED, NETWORK, Common, Examples, Size, Weights, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.cli.steps import Keeps, Steps, is_current
from clusterkit.cli.train_g import worth_of
from clusterkit.config import (
    PHOTOS,
    ClusterConfig,
    Context,
    EmbedConfig,
    EstimateKConfig,
    Kind,
    Placing,
    PredictPairsConfig,
    ReportConfig,
    TrainGConfig,
    parse_backbone,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import with_options
from clusterkit.reading import LABELS, OWN_DATA, USUAL
from clusterkit.settings import CountedBy, Fixed, K, parse_k

EXAMPLE = "Example: clusterkit discover folder:photos"
SHOWN = 12
"""The most groups whose sizes are listed."""
UNREAD = ("flat", LABELS)
"""Flags of reading that this command does not have: it reads folders flat, and no labels of the pictures to sort."""


def register(app: typer.Typer) -> None:
    more = [flag for flag in reading_flags() if flag.name not in UNREAD]
    app.command("discover", epilog=EXAMPLE)(with_common(discover, more=more))


def discover(
    common: Common,
    dataset: Annotated[
        str, typer.Argument(help="The pictures: folder:PATH, read with all its subfolders, or another data set.")
    ],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Labelled pictures of other categories, as folder:PATH with one subfolder per class. From them "
            "it learns which differences matter.",
            show_default="the features decide alone",
        ),
    ] = None,
    k: Annotated[
        str, typer.Option(metavar="[N|auto]", help="Number of groups; auto estimates it.")
    ] = CountedBy.ESTIMATE.value,
    examples: Examples = None,
    backbone: Annotated[str, typer.Option(metavar="NAME", help=FIXED, rich_help_panel=NETWORK)] = str(PHOTOS),
    weights: Weights = None,
    size: Size = None,
    folders: Annotated[
        Path | None,
        typer.Option(help="Also put every picture into a folder of its group, below this new folder.", metavar="DIR"),
    ] = None,
    by: Annotated[
        Placing, typer.Option(help="How pictures get into --folders; move writes undo.sh, which moves them back.")
    ] = ReportConfig.by,
) -> None:
    """Sort pictures into groups of one kind each; write report.html, clusters.csv and the files of all stages between.

    Each stage shows its own command line, and is left out if its file is up to date. Open report.html in a browser.
    """
    from clusterkit.datasets.catalogue import parse

    start = time.monotonic()
    fixed = parse_backbone(backbone)
    if not isinstance(fixed, Fixed):
        raise UsageError(f"--backbone {backbone}: is trained; name a fixed one, such as {PHOTOS}, or use train-g")
    number = parse_k(k)
    if number is CountedBy.LABELS:
        raise UsageError("--k known: counts labels, which discover does not read; give a number or auto")
    if folders is None and "by" in common.context.given:
        raise UsageError("--by works only with --folders; leave it out or give --folders")
    check_names(dataset, like)
    config = Discovery(
        name=parse(dataset).full,
        like=None if like is None else parse(like).full,
        k=number,
        examples=examples,
        backbone=fixed,
        weights=tuple(weights or ()),
        size=size,
        report=ReportConfig(folders=folders, by=by),
    )
    reading = common.context.reading
    photos = replace(common.context, reading=replace(reading, flat=True).of(parse(dataset).source))
    learning = photos if like is None else replace(common.context, reading=reading.of(parse(like).source))
    models, warnings = check(config, photos, learning)
    steps = Steps(common.context, 6 if number is CountedBy.ESTIMATE else 5, warnings=warnings)
    page = run_all(config, photos, learning, models, steps)
    groups, lines = summary(steps, config.like)
    seconds = time.monotonic() - start
    for line in ["", *lines, f"{page} shows them; open it in a browser ({console.duration(seconds)} in all)"]:
        console.log.info("%s", line)
    fields = {
        "artifact": str(page),
        "artifacts": steps.artifacts,
        **groups,
        "seconds": round(seconds, 1),
        "warnings": steps.warnings,
    }
    console.result([str(page)], fields, common.as_json)


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What this command was asked for; `name` and `like` are the full names of the two sets."""

    name: str
    like: str | None
    k: K
    examples: Path | None
    backbone: Fixed
    weights: tuple[Path, ...]
    size: int | None
    report: ReportConfig

    @property
    def flags(self) -> list[str]:
        """Return the flags of the backbone."""
        words = ["--backbone", str(self.backbone)]
        words += [word for path in self.weights for word in ("--weights", str(path))]
        return words if self.size is None else [*words, "--size", str(self.size)]


def check(config: Discovery, photos: Context, learning: Context) -> tuple[list[Any], list[str]]:
    """Return the header entries of the backbones, and warnings, before anything is made.

    Raises UsageError and InputError for anything that would stop a later stage: pictures and examples that cannot be
    read, a labelled set without two classes, folders that exist, and weights that are not here.
    """
    from clusterkit.features.load import load_dataset
    from clusterkit.features.models import find_models
    from clusterkit.pairs.user_links import read_user_links
    from clusterkit.report import folders
    from clusterkit.stages.report import home_of

    data, warnings = load_dataset(config.name, photos, whole=True), []
    if data.kind is Kind.VECTORS:
        raise InputError(f"{data.title} holds vectors, but discover reads pictures; use train-g and cluster")
    known = read_user_links(None, config.examples, data)
    for subset in data.subsets:
        title = data.title if len(data.subsets) == 1 else f"{data.title}, subset {subset.name}"
        fewest = known.fewest(subset.name)
        if len(subset) < 2:
            raise InputError(f"{title} holds one picture only; groups need at least two, so name another set")
        if isinstance(config.k, int) and config.k > len(subset):
            raise UsageError(f"--k {config.k}: {title} has only {len(subset)} pictures; give a smaller number")
        if isinstance(config.k, int) and config.k < fewest:
            raise UsageError(f"--k {config.k}: the examples have {fewest} labels; give a number from {fewest}")
    if config.report.folders is not None:
        pictures = [
            folders.Picture(int(subset.ids[number]), file, ())
            for subset in data.subsets
            for number, file in enumerate(subset.files or ())
        ]
        folders.check(pictures, config.report.folders, config.report.by, home_of(data))
    if config.like is not None:
        warnings = check_like(config.like, config.name, learning)
    models = find_models(config.backbone, config.weights, photos, config.size)
    return [model.to_header() for model in models], warnings


def check_like(like: str, name: str, context: Context) -> list[str]:
    """Return a warning if a labelled set lies among the pictures to sort.

    Raises UsageError if it is the same set, and InputError if it has no labels, or one class only.
    """
    from clusterkit.datasets.catalogue import parse
    from clusterkit.features.load import load_dataset

    first, second = parse(like), parse(name)
    places = [Path(entry.argument).resolve() for entry in (first, second)]
    if first == second or (first.source == second.source in OWN_DATA and places[0] == places[1]):
        raise UsageError(
            f"--like {like}: is the set to sort; name labelled pictures of other categories, or label some of these by "
            "--examples FILE"
        )
    load_dataset(like, context, whole=True).labelled().labels_for("--like")
    if first.source == second.source == "folder" and places[1] in places[0].parents:
        return console.warn_all(
            [f"--like {like}: lies in {name}, so its pictures are sorted too, although their labels were learned"]
        )
    return []


def run_all(config: Discovery, photos: Context, learning: Context, models: list[Any], steps: Steps) -> Path:
    """Run every stage that is out of date; return the page."""
    from clusterkit.stages import embed, estimate_k, predict_pairs, report, train_g

    def keeps(settings: object, **inputs: Path) -> Keeps:
        return lambda path, context: is_current(path, settings, context, models, inputs)

    network: dict[str, Any] = {"backbone": config.backbone, "weights": config.weights, "size": config.size}
    picture = EmbedConfig(dataset=config.name, **network)
    words = [config.name, *config.flags]
    steps.run("Compute the features.", "embed", words, embed.run, picture, photos, embed.OUTPUT, keeps(picture))

    source, title = config.like or config.name, "Measure how alike pictures are."
    # Only a folder that is read flat has no labels.
    unlabelled = config.like is None and not learning.reading.flat
    learn = TrainGConfig(dataset=source, unlabelled=unlabelled, **network)
    words = [source, *config.flags, *(["--unlabelled"] if unlabelled else [])]
    if config.like is not None:
        title = f"Learn from {source} which differences count."
    steps.run(title, "train-g", words, train_g.run, learn, learning, train_g.OUTPUT, keeps(learn))

    predict, title = PredictPairsConfig(dataset=config.name), "Predict which pairs of pictures belong together."
    keeps_pairs = keeps(predict, g=steps.context.path(train_g.OUTPUT))
    steps.run(
        title, "predict-pairs", [config.name], predict_pairs.run, predict, photos, predict_pairs.OUTPUT, keeps_pairs
    )

    here, pairs = replace(photos, reading=USUAL), steps.context.path(predict_pairs.OUTPUT)
    if config.k is CountedBy.ESTIMATE:
        estimate, title = EstimateKConfig(), "Estimate the number of groups."
        steps.run(
            title, "estimate-k", [], estimate_k.run, estimate, here, estimate_k.OUTPUT, keeps(estimate, pairs=pairs)
        )
    group(config, here, models, steps)
    folder, title = config.report.folders, "Show the groups on a page."
    words = [] if folder is None else ["--folders", str(folder), "--by", str(config.report.by)]
    done = steps.run(title, "report", words, report.run, config.report, here, report.OUTPUT)
    page: Path = done.artifact
    return page


def group(config: Discovery, context: Context, models: list[Any], steps: Steps) -> None:
    """Cluster by the pairs of the work folder."""
    from clusterkit.pairs.read import read_pairs
    from clusterkit.stages import cluster

    settings = ClusterConfig(k=config.k, examples=config.examples)

    def keeps(path: Path, context: Context) -> bool:
        if not path.exists():
            return False
        suited = cluster.suited_to(with_options(settings), read_pairs(settings, context, used=True), context)
        files = {name: context.find(str(file)) for name, file in cluster.files_read(suited, context).items()}
        return is_current(path, suited, context, models, files)

    words = ["--k", str(config.k), *([] if config.examples is None else ["--examples", str(config.examples)])]
    title = "Sort the pictures into groups."
    steps.run(title, "cluster", words, cluster.run, settings, context, cluster.OUTPUT, keeps)


def summary(steps: Steps, like: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of groups by subset, asked for and found, and lines on their sizes and on what was learned."""
    from clusterkit.artifacts.assignments import names_of, read_assignments
    from clusterkit.artifacts.checkpoint import read_checkpoint

    header, subsets = read_assignments(Path(steps.artifacts["cluster"]))
    clusters, lines = {}, []
    for title, assignment in subsets.items():
        names = names_of(header, title) or [None] * assignment.k
        counts = Counter(assignment.cluster.tolist())
        outside = counts.pop(-1, 0)
        clusters[title] = len(counts)
        sizes = [f"{names[number] or number}: {size}" for number, size in counts.most_common(SHOWN)]
        more = f", and {len(counts) - SHOWN} smaller ones" if len(counts) > SHOWN else ""
        part = f", {outside} in none" if outside else ""
        where = "" if len(subsets) == 1 else f"{title}: "
        lines.append(f"{where}{len(assignment.id)} pictures in {len(counts)} groups ({', '.join(sizes)}{more}{part})")
    if like is not None:
        g = read_checkpoint(Path(steps.artifacts["train-g"]), "g")[0]
        lines.append(worth_of(g.extra["correction"], like))
    steps.warnings += console.warn_all(doubts_of_kept(steps))
    if steps.warnings:
        lines.append(f"{len(steps.warnings)} {'warning' if len(steps.warnings) == 1 else 'warnings'}, see above")
    return {"k": {title: assignment.k for title, assignment in subsets.items()}, "clusters": clusters}, lines


def doubts_of_kept(steps: Steps) -> list[str]:
    """Return the warnings that the stages of kept files would repeat."""
    from clusterkit.artifacts.assignments import read_assignments
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.metrics import doubts

    subsets, warnings = read_assignments(Path(steps.artifacts["cluster"]))[1], list[str]()
    if "predict-pairs" in steps.kept:
        health = read_header(Path(steps.artifacts["predict-pairs"]), "pairs").extra["health"]
        for title, signs in health.items():
            warnings += doubts.of_pairs(title, signs, len(subsets[title].id), by_metric=True)
    if "estimate-k" in steps.kept:
        for title, estimates in read_json(Path(steps.artifacts["estimate-k"]), "k")[1]["estimates"].items():
            warnings += doubts.of_communities(title, estimates)
    if "cluster" in steps.kept:
        for title, assignment in subsets.items():
            warnings += doubts.of_clusters(title, assignment.prob)
    return warnings
