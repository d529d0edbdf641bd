"""Adapt a classifier of office objects between three domains by every method (L2C, tables 2, 10 and 11).

ResNets start from ImageNet's weights if these are present or can be downloaded, and otherwise from random weights; the
tables say which. --backbone timm:NAME trains only a classifier on the features of a fixed backbone, and --fine-tune
also its last blocks. G is trained on the source domain alone, whose classes are those of the target. The paper's G
learned from ImageNet; --g takes such a G. Writes office31.md, office31.json and results.csv. All files are in the
folder office31 of --workdir, with one folder per direction and run.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.config import AdaptConfig, Backbone, Context, Kind, PredictPairsConfig, TrainGConfig, parse_backbone
from clusterkit.errors import UsageError
from clusterkit.features.choice import with_training
from clusterkit.metrics.rows import Row
from clusterkit.settings import MOST_SIZE, Fixed, Flag
from clusterkit.studies.common import domains, runs
from clusterkit.studies.common.domains import DomainsOptions, Task
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.published import figures, fill
from clusterkit.studies.common.tables import SCORES, Heading, Part, Rows, Table, mean, pivot, where

EXAMPLE = "Example: clusterkit reproduce office31 --steps 200 --size 64"

DOMAINS = ("amazon", "dslr", "webcam")
DATASET = "office31"
SIZE = 224
"""Side of the images of a backbone that is trained, in pixels."""
G = with_training(TrainGConfig(dataset="", classes_per_batch=20, images_per_class=5), Kind.PHOTOS)
GIVEN = "g"
"""`method` in the rows of the G of `--g`."""
MEANS = ["mean", "mean of some"]
"""`set` in the rows of means over all directions, and over only some of them."""


@dataclass(frozen=True, kw_only=True)
class Office31Options(DomainsOptions):
    g: Annotated[Path | None, Flag(help="Use this G for all targets.", default="a G trained on each source")] = None
    g_steps: Annotated[
        int, Flag(help="Batches of the training of G on each source domain, rounded to whole epochs.", min=1)
    ] = 1000
    source: Annotated[tuple[str, ...], Flag(help="Source domain; may be repeated.", choices=DOMAINS)] = DOMAINS
    backbone: Annotated[
        Backbone | Fixed,
        Flag(
            help="Backbone of the classifiers and of G; timm:NAME is a fixed one, joined to others by +.",
            read=parse_backbone,
            metavar=f"[{'|'.join(Backbone)}|timm:NAME|torchvision:NAME]",
        ),
    ] = Backbone.RESNET18
    weights: Annotated[
        tuple[Path, ...], Flag(help="File of weights; one for each fixed backbone, in order.", metavar="FILE")
    ] = ()
    fine_tune: Annotated[
        int | None,
        Flag(help="Also train the last blocks of a fixed backbone.", min=1, metavar="BLOCKS", default="none"),
    ] = None
    size: Annotated[
        int | None,
        Flag(
            help="Side of the images in pixels.",
            min=8,
            max=MOST_SIZE,
            default=f"{SIZE}, or that of the fixed backbone",
        ),
    ] = None


def run(options: Office31Options, context: Context) -> Outcome:
    """Return the scores of G and of each method and seed in each direction, and the weights before the training."""
    config = config_of(options)
    if options.fine_tune is not None and not isinstance(options.backbone, Fixed):
        raise UsageError("--fine-tune: trains one fixed backbone; name it with --backbone timm:NAME, or leave it out")
    g_config = g_config_of(options, context)
    rows, weights = [], []
    for domain in (name for name in DOMAINS if name in options.source):
        source = f"{DATASET}/{domain}"
        of_source = replace(g_config, dataset=source)
        if not (options.g or isinstance(options.backbone, Fixed)):
            of_source = replace(of_source, epochs=epochs_of(source, options.g_steps, context))
        g = runs.g_for(options.g, of_source, runs.subfolder(context, domain))
        for other in (name for name in DOMAINS if name != domain):
            task = Task(source, f"{DATASET}/{other}")
            inner = runs.subfolder(context, f"{domain}-{other}")
            pairs = runs.run_stage(PredictPairsConfig(dataset=task.target, g=str(g)), inner)
            method = GIVEN if options.g else g_of(domain)
            scores = runs.g_scores(g, task.target, (), inner, set=task.target, method=method)
            rows += fill(scores, domains.PAPERS, method="g")
            direction = f"{domain[0].upper()} to {other[0].upper()}"
            scores, starts = domains.compare(direction, task, options, config, pairs, inner)
            rows += scores
            weights += starts
    return Outcome(rows + means(rows), {"weights": list(dict.fromkeys(weights))})


def config_of(options: Office31Options) -> AdaptConfig:
    return replace(
        options.shared(AdaptConfig(source="", target="")), backbone=options.backbone, weights=options.weights,
        fine_tune=options.fine_tune, size=size_of(options),
    )  # fmt: skip


def g_config_of(options: Office31Options, context: Context) -> TrainGConfig:
    """Return the settings of G without a data set. On a fixed backbone G is a metric, which is not trained in steps."""
    size = size_of(options)
    if isinstance(options.backbone, Fixed):
        return TrainGConfig(dataset="", backbone=options.backbone, weights=options.weights, size=size)
    pretrained = runs.weights_at_hand(options.backbone, context)
    return replace(G, backbone=options.backbone, size=size, precision=options.precision, pretrained=pretrained)


def size_of(options: Office31Options) -> int | None:
    """Return the side of the images, None for that of the fixed backbone."""
    return SIZE if options.size is None and isinstance(options.backbone, Backbone) else options.size


def g_of(domain: str) -> str:
    """Return `method` in the rows of a G that was trained on a domain."""
    return f"g of {DATASET}/{domain}"


def epochs_of(source: str, steps: int, context: Context) -> int:
    """Return the epochs of G on a source that make about `steps` batches."""
    from clusterkit.datasets.catalogue import load_dataset

    count = len(load_dataset(source, context.data, offline=context.offline, reading=context.reading, size=8))
    return max(1, round(steps * G.classes_per_batch * G.images_per_class / count))


def means(rows: Rows) -> list[Row]:
    """Return the mean accuracy of each method over the directions."""
    accuracies = where(rows, metric="accuracy")
    name = MEANS[len({row.set for row in accuracies}) < len(DOMAINS) * (len(DOMAINS) - 1)]
    averages = []
    for method in dict.fromkeys(row.method for row in accuracies):
        of_method = where(accuracies, method=method)
        value = sum(row.value for row in of_method) / len(of_method)
        averages.append(replace(of_method[0], set=name, seed=None, value=value, published=None))
    return fill(averages, domains.PAPERS, loss="")


def document(options: Office31Options, outcome: Outcome) -> list[Part]:
    """Return the tables of the methods, of G's pairs, and of the published accuracies."""
    rows = where(outcome.rows, method=list(ADAPTATIONS))
    names = {GIVEN: "the file of --g", **{g_of(domain): f"{DATASET}/{domain}" for domain in DOMAINS}}
    directions = [name for name in dict.fromkeys(row.set for row in rows) if name not in MEANS]
    return [
        Heading("Office-31", 1),
        f"Accuracy on all images of the target after the last step, without matching outputs to classes, "
        f"{options.seeds} seed(s). Weights before the training: **{', '.join(outcome.facts['weights'])}**. Published "
        "figures, in brackets, are of a ResNet-18 with ImageNet's weights and of a G that learned from ImageNet (L2C, "
        "table 2).",
        pivot(
            where(rows, metric="accuracy"),
            {"method": domains.titled},
            [*((name, mean(set=name)) for name in directions), ("mean", mean(set=MEANS))],
        ),
        Heading("Source-only by network, as published (L2C, table 10)"),
        by_network(),
        *domains.signs(rows),
        *domains.oracle(rows),
        Heading("Pairs of the target by G (L2C, table 11)"),
        pivot(
            where(outcome.rows, method=list(names), subset="mean"),
            {"target": "set", "G from": lambda row: names[row.method]},
            [(name.replace("_", " "), mean(name)) for name in SCORES],
        ),
        *domains.budget(options, config_of(options)),
    ]


def by_network() -> Table:
    """Return the published accuracies of source-only by network, and those of JAN."""
    accuracies = [figure for figure in figures() if (figure.paper, figure.table) == ("L2C", "10")]
    lines = {figure.method: [figure.method] for figure in accuracies}
    for figure in accuracies:
        lines[figure.method].append(f"{figure.value:.3f}")
    return Table(["network", *dict.fromkeys(figure.set for figure in accuracies)], list(lines.values()))


STUDY = Study(__doc__, EXAMPLE, Office31Options, domains.PAPERS, run, document)
