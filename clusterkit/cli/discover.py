"""clusterkit discover"""

import shlex
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import FIXED, NETWORK, Common, Examples, Size, Weights, with_common
from clusterkit.cli.counting import OVER_CLUSTERED
from clusterkit.cli.discovery import Discovery, check, number_or_auto
from clusterkit.cli.letters import sort_letters
from clusterkit.cli.reading import reading_flags
from clusterkit.cli.steps import Keeps, Steps, is_current
from clusterkit.cli.train_g import worth_of
from clusterkit.config import (
    ClusterConfig,
    Context,
    EmbedConfig,
    EstimateKConfig,
    PredictPairsConfig,
    ReportConfig,
    TrainGConfig,
    parse_fixed_backbone,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import with_options
from clusterkit.reading import LABELS, USUAL
from clusterkit.settings import CountedBy, Placing

if TYPE_CHECKING:
    from clusterkit.stages.report import ReportResult

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
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=FIXED,
            rich_help_panel=NETWORK,
            show_default="a small DINOv2 for photos; a network for characters that comes with the program",
        ),
    ] = None,
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
    fixed = None if backbone is None else parse_fixed_backbone(backbone)
    number = number_or_auto(k)
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
    config, letters, models, warnings = check(config, photos, learning)
    count = 4 + (number is CountedBy.ESTIMATE) if letters is None else letters.steps
    steps = Steps(common.context, count + 1, warnings=warnings)
    if letters is None:
        group_by_features(config, photos, learning, models, steps)
    else:
        sort_letters(letters, photos, learning, steps)
    shown = show(config, photos, steps)
    page = shown.artifact
    groups, lines = summary(steps, config)
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
    results = [str(page)]
    if folders is not None:
        fields["folders"] = str(folders)
    if shown.undo is not None:
        fields["undo"] = str(shown.undo)
        results.append(f"sh {shlex.quote(str(shown.undo))}")
    console.result(results, fields, common.as_json)


def group_by_features(config: Discovery, photos: Context, learning: Context, models: list[Any], steps: Steps) -> None:
    """Run every stage from the features to the clusters that is out of date."""
    from clusterkit.stages import embed, estimate_k, predict_pairs, train_g

    assert config.backbone is not None

    def keeps(settings: object, **inputs: Path) -> Keeps:
        return lambda path, context: is_current(path, settings, context, models, inputs)

    network: dict[str, Any] = {"backbone": config.backbone, "weights": config.weights, "size": config.size}
    picture = EmbedConfig(dataset=config.name, **network)
    words = [config.name, *config.flags]
    steps.run("Compute the features.", "embed", words, embed.run, picture, photos, embed.OUTPUT, keeps(picture))
    check_features(config, steps.context.path(embed.OUTPUT), photos)

    source, title = config.like or config.name, "Measure how alike pictures are."
    # Only a folder that is read flat has no labels.
    unlabelled = config.like is None and not learning.reading.flat
    learn = TrainGConfig(dataset=source, unlabelled=unlabelled, **network)
    words = [source, *config.flags, *(["--unlabelled"] if unlabelled else [])]
    if config.like is not None:
        title = f"Learn from {source} which differences count."

    def train(settings: TrainGConfig, context: Context) -> Any:
        # A warning of this stage names the flag that was typed: --backbone, or else --like.
        return train_g.run(settings, replace(context, given=learning.given & {"backbone", "like"}))

    steps.run(title, "train-g", words, train, learn, learning, train_g.OUTPUT, keeps(learn))

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


def show(config: Discovery, photos: Context, steps: Steps) -> "ReportResult":
    """Write the page and the folders."""
    from clusterkit.stages import report

    here = replace(photos, reading=USUAL)
    folder, title = config.report.folders, "Show the groups on a page."
    words = [] if folder is None else ["--folders", str(folder), "--by", str(config.report.by)]
    done: report.ReportResult = steps.run(title, "report", words, report.run, config.report, here, report.OUTPUT)
    return done


def check_features(config: Discovery, path: Path, photos: Context) -> None:
    """Raise InputError if all pictures have the same features, so that no later stage can tell them apart."""
    from clusterkit.artifacts.features import read_features
    from clusterkit.features.load import load_dataset
    from clusterkit.pairs.clusters import small_values

    if any((subset.x != subset.x[0]).any() for subset in read_features(path)[1].values()):
        return
    values = [small_values(subset) for subset in load_dataset(config.name, photos, whole=True).subsets]
    if all((part == part[0]).all() for part in values):
        raise InputError(f"{config.name}: all pictures are copies of one; name a folder of different ones")
    advice = "" if config.size is None else ", or leave out --size"
    raise InputError(
        f"{config.name}: all pictures have the same features, so nothing tells them apart; use another --backbone, "
        f"or other --weights{advice}"
    )


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


def summary(steps: Steps, config: Discovery) -> tuple[dict[str, Any], list[str]]:
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
        groups = "1 group" if len(counts) == 1 else f"{len(counts)} groups"
        if isinstance(config.k, int) and len(counts) < config.k:
            groups = f"{len(counts)} of the {config.k} groups asked for"
        lines.append(f"{where}{len(assignment.id)} pictures in {groups} ({', '.join(sizes)}{more}{part})")
    if config.like is not None and config.backbone is not None:
        g = read_checkpoint(Path(steps.artifacts["train-g"]), "g")[0]
        lines.append(worth_of(g.extra["correction"], config.like))
    steps.warnings += console.warn_all(doubts_of_kept(steps, by_metric=config.backbone is not None))
    if steps.warnings:
        lines.append(f"{len(steps.warnings)} {'warning' if len(steps.warnings) == 1 else 'warnings'}, see above")
    return {"k": {title: assignment.k for title, assignment in subsets.items()}, "clusters": clusters}, lines


def doubts_of_kept(steps: Steps, *, by_metric: bool) -> list[str]:
    """Return the warnings that the stages of kept files would repeat."""
    from clusterkit.artifacts.assignments import read_assignments
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.methods.common.outputs import none_empty
    from clusterkit.metrics import doubts
    from clusterkit.stages import cluster

    subsets, warnings = read_assignments(Path(steps.artifacts["cluster"]))[1], list[str]()
    if "predict-pairs" in steps.kept:
        health = read_header(Path(steps.artifacts["predict-pairs"]), "pairs").extra["health"]
        for title, signs in health.items():
            warnings += doubts.of_pairs(title, signs, len(subsets[title].id), by_metric=by_metric)
    if "estimate-k" in steps.kept:
        more = None if by_metric else read_assignments(steps.context.path(OVER_CLUSTERED) / cluster.OUTPUT)
        for title, estimates in read_json(Path(steps.artifacts["estimate-k"]), "k")[1]["estimates"].items():
            if more is None:
                warnings += doubts.of_communities(title, estimates)
            else:
                full = none_empty(more[0], more[1][title])
                warnings += doubts.of_k(title, estimates, estimates["consensus"], full)
    if "cluster" in steps.kept:
        for title, assignment in subsets.items():
            warnings += doubts.of_clusters(title, assignment.prob, by_metric=by_metric)
    return warnings
