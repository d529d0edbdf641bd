"""clusterkit discover"""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import NETWORK, Backbones, Common, Examples, Weights, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import (
    PHOTOS,
    ClusterConfig,
    Context,
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
from clusterkit.settings import CountedBy, Fixed, K, parse_k, typed

EXAMPLE = "Example: clusterkit discover folder:photos"
SHOWN = 12
"""The most groups whose sizes are listed."""
UNREAD = ("flat", LABELS)
"""Flags of reading that this command does not have: it reads folders flat, and no labels of the pictures to sort."""


def register(app: typer.Typer) -> None:
    more = [flag for flag in reading_flags() if flag.name not in UNREAD]
    app.command("discover", epilog=EXAMPLE)(with_common(discover, more=more))


@dataclass
class Steps:
    """The stages of this command in the work folder of `context`: each is announced, and run if it is out of date."""

    context: Context
    count: int
    number: int = 0
    artifacts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    def run(
        self, why: str, command: str, words: Sequence[str], stage: Callable[[Any, Context], Any], config: Any,
        context: Context, output: str, keeps: Callable[[Path, Context], bool] = lambda path, context: False,
    ) -> Any:  # fmt: skip
        """Announce a stage by its command line, and run it unless `keeps` says that its file is up to date.

        Return its result, None for a file that is kept.
        """
        self.number += 1
        path = self.context.path(output)
        flags = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
        context = replace(context, given=frozenset(flags))
        line = shlex.join(["clusterkit", command, *words, *context.reading.flags(), *common_flags(context)])
        console.log.info("")
        console.log.info("%d of %d. %s", self.number, self.count, why)
        console.log.info("$ %s", line)
        self.artifacts[command] = str(path)
        if keeps(path, context):
            console.log.info("%s is up to date", path)
            return None
        done = stage(config, context)
        self.warnings += getattr(done, "warnings", [])
        return done


def common_flags(context: Context) -> list[str]:
    """Return the common flags that differ from their defaults."""
    usual = Context()
    words = []
    for name in ("workdir", "data", "device", "seed"):
        value = getattr(context, name)
        words += [] if value == getattr(usual, name) else [typed(name), str(value)]
    return [*words, "--offline"] if context.offline else words


def discover(
    common: Common,
    dataset: Annotated[
        str, typer.Argument(help="The pictures: folder:PATH, read with all its subfolders, or another data set.")
    ],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Labelled pictures of other categories, as folder:PATH with one subfolder per class, to learn from "
            "which differences matter.",
            show_default="the features decide alone",
        ),
    ] = None,
    k: Annotated[
        str, typer.Option(metavar="[N|auto]", help="Number of groups; auto estimates it.")
    ] = CountedBy.ESTIMATE.value,
    examples: Examples = None,
    backbone: Backbones = None,
    weights: Weights = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side in pixels of the pictures that the backbone reads.",
            show_default="that of the backbone",
            rich_help_panel=NETWORK,
        ),
    ] = None,
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
    fixed = PHOTOS if backbone is None else parse_backbone(backbone)
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
    steps = Steps(common.context, 5 if number is CountedBy.ESTIMATE else 4, warnings=warnings)
    page = run_all(config, photos, learning, models, steps)
    groups, lines = summary(steps)
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
    def network(self) -> list[str]:
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
    from clusterkit.pairs.read import read_pairs
    from clusterkit.stages import cluster, estimate_k, predict_pairs, report, train_g

    def keeps(settings: object, models: list[Any], **inputs: Path) -> Callable[[Path, Context], bool]:
        return lambda path, context: is_current(path, settings, context, models, inputs)

    g_file, pairs_file, k_file = (
        steps.context.path(name) for name in (train_g.OUTPUT, predict_pairs.OUTPUT, estimate_k.OUTPUT)
    )
    source = config.like or config.name
    # The labels of the pictures to sort are for nobody to read.
    unlabelled = config.like is None and not learning.reading.flat
    learn = TrainGConfig(
        dataset=source, backbone=config.backbone, weights=config.weights, size=config.size, unlabelled=unlabelled
    )
    steps.run(
        f"Learn from {source} which differences matter." if config.like else "Measure how alike pictures are.",
        "train-g", [source, *config.network, *(["--unlabelled"] if unlabelled else [])], train_g.run, learn, learning,
        train_g.OUTPUT, keeps(learn, models),
    )  # fmt: skip
    predict = PredictPairsConfig(dataset=config.name)
    steps.run(
        "Predict which pairs of pictures show the same kind.", "predict-pairs", [config.name], predict_pairs.run,
        predict, photos, predict_pairs.OUTPUT, keeps(predict, models, g=g_file),
    )  # fmt: skip
    here = replace(photos, reading=USUAL)
    if config.k is CountedBy.ESTIMATE:
        estimate = EstimateKConfig()
        steps.run(
            "Estimate the number of groups.", "estimate-k", [], estimate_k.run, estimate, here, estimate_k.OUTPUT,
            keeps(estimate, models, pairs=pairs_file),
        )  # fmt: skip
    words = ["--k", str(config.k), *(["--examples", str(config.examples)] if config.examples is not None else [])]
    group = ClusterConfig(k=config.k, examples=config.examples)
    inputs = {"pairs": pairs_file, "k": k_file, "examples": config.examples}
    used = {name: path for name, path in inputs.items() if path is not None and (name != "k" or "auto" in words)}

    def keeps_groups(path: Path, context: Context) -> bool:
        if not path.exists():
            return False
        settings = cluster.suited_to(with_options(group), read_pairs(group, context, used=True), context)
        return is_current(path, settings, context, models, used)

    steps.run(
        "Sort the pictures into groups.", "cluster", words, cluster.run, group, here, cluster.OUTPUT, keeps_groups
    )
    folder = config.report.folders
    words = [] if folder is None else ["--folders", str(folder), "--by", str(config.report.by)]
    done = steps.run("Show the groups on a page.", "report", words, report.run, config.report, here, report.OUTPUT)
    page: Path = done.artifact
    steps.rows = done.rows
    return page


def is_current(path: Path, settings: object, context: Context, models: list[Any], inputs: dict[str, Path]) -> bool:
    """Return whether a file is what its stage would write now, with these backbones."""
    from clusterkit.artifacts.summary import summarise
    from clusterkit.datasets.current import up_to_date

    if not path.exists():
        return False
    header = summarise(path)["header"]
    return header["dataset"].get("features") == models and up_to_date(path, settings, context, **inputs)


def summary(steps: Steps) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of groups by subset, asked for and found, and lines on their sizes, doubts and correction."""
    from clusterkit.artifacts.assignments import names_of, read_assignments
    from clusterkit.artifacts.summary import summarise

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
        lines.append(f"{where}{len(counts)} groups of {len(assignment.id)} pictures ({', '.join(sizes)}{more}{part})")
    worth = correction_line(summarise(Path(steps.artifacts["train-g"]))["header"]["extra"].get("correction") or {})
    lines += [worth] if worth else []
    return {"k": {title: assignment.k for title, assignment in subsets.items()}, "clusters": clusters}, lines


def correction_line(correction: Mapping[str, Any]) -> str:
    """Return what the correction of the features is worth on classes that were kept out; "" if nothing was learned."""
    return ", ".join(f"{name} {value}" for name, value in correction.items())
