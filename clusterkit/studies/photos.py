"""Cluster unseen categories of photos by the features of a fixed backbone, and compare with scikit-learn.

Takes random photos of half of the classes, A, and of the other half, T. Corrects the features by the labels of A,
predicts the pairs of T, clusters them and estimates K. CCN learns from a plain pair head on the same features instead;
SUPREME and other joint trainings learn from the features and, some of them, from the labels of A. K-means, k-means
after a gentle metric, spectral and agglomerative clustering of scikit-learn need neither. Labels of T
are read only to score, and to count the classes where K is known. Writes photos.md, photos.json and results.csv. All
files are in the folder photos of --workdir, with one folder per row and run.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from clusterkit.config import (
    PHOTOS,
    Backbone,
    ClusterConfig,
    Context,
    EmbedConfig,
    EstimateKConfig,
    Head,
    Kind,
    PredictPairsConfig,
    TrainGConfig,
    parse_fixed_backbone,
)
from clusterkit.features.choice import with_training
from clusterkit.methods import METHODS, CcnOptions
from clusterkit.methods.common.joint_options import SourceOptions
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import MOST_SIZE, CountedBy, Features, File, Fixed, Flag, Init, K, Options
from clusterkit.studies.common import measured, runs, samples
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import PAIR_LOSSES, Clusterings
from clusterkit.studies.common.photo_tables import BEST_OF, CORRECTED, DEFAULT, JOINT, OWN, PLAIN, TITLES, tables
from clusterkit.studies.common.samples import Sample
from clusterkit.studies.common.tables import Part, where

if TYPE_CHECKING:
    from clusterkit.features.models import Model

EXAMPLE = "Example: clusterkit reproduce photos --set eurosat --seeds 1"

MOST = 4000
"""The most images of a set: more pairs are not clustered together."""
METHOD = "consensus"
"""The method that shows what a correction is worth, because it clusters features with and without one alike."""
EPOCHS = 40
"""Passes of the training of a plain pair head."""


@dataclass(frozen=True)
class Task:
    """The labelled set A, None for a row without one, and the set T; DATA stands for the folder of --data."""

    source: str | None
    target: str


def halves(name: str, middle: int, count: int) -> Task:
    """Return the task of the first `middle` classes of a folder of photos and the others of its `count` classes."""
    folder = f"folder:DATA/photos/{name}"
    return Task(f"{folder}@0-{middle - 1}", f"{folder}@{middle}-{count - 1}")


TASKS = {
    "cifar10": Task("cifar10_train@0-4", "cifar10_train@5-9"),
    "cifar10-all": Task(None, "cifar10_train"),
    **{domain: Task("office31/amazon@0-15", f"office31/{domain}@16-30") for domain in ("amazon", "dslr", "webcam")},
    "caltech101": halves("caltech101", 50, 101),
    "eurosat": halves("eurosat", 5, 10),
    "gtsrb": halves("gtsrb", 21, 43),
}
CCN = {f"ccn-{loss}": CcnOptions(loss=loss, init=Init.G) for loss in PAIR_LOSSES}


@dataclass(frozen=True, kw_only=True)
class PhotosOptions(Options):
    sets: Annotated[
        tuple[str, ...] | None,
        Flag(name="set", help="Row of the tables; may be repeated.", choices=TASKS, default="all that are present"),
    ] = None
    backbone: Annotated[
        Fixed,
        Flag(
            help="Fixed backbone: timm:NAME or torchvision:NAME, several joined by +.",
            read=parse_fixed_backbone,
            default="a small DINOv2",
        ),
    ] = PHOTOS
    weights: Annotated[
        tuple[Path, ...], Flag(help="File of weights; one for each backbone, in order.", metavar="FILE")
    ] = ()
    size: Annotated[
        int | None,
        Flag(help="Side of the images in pixels.", min=8, max=MOST_SIZE, default="that of the backbone"),
    ] = None
    method: Annotated[
        tuple[str, ...] | None,
        Flag(help="Method; may be repeated.", choices=TITLES, metavar="NAME", default="all"),
    ] = None
    images: Annotated[
        int, Flag(help=f"Most random images of a class; a set has up to {MOST:,} images in all.", min=2)
    ] = 600
    seeds: Clusterings = 3


@dataclass(frozen=True)
class Work:
    """What the runs of one row share: its name, the samples, the options and the context of its folder."""

    name: str
    source: Sample | None
    target: Sample
    options: PhotosOptions
    context: Context
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def features(self) -> dict[str, Any]:
        return {name: getattr(self.options, name) for name in ("backbone", "weights", "size")}

    @property
    def seeds(self) -> range:
        return range(self.context.seed, self.context.seed + self.options.seeds)


def run(options: PhotosOptions, context: Context) -> Outcome:
    """Return the scores and seconds of each method and seed, the estimates of K, and what each correction is worth."""
    sets = {
        name: [data.replace("DATA", str(context.data)) for data in (task.source, task.target) if data is not None]
        for name, task in TASKS.items()
    }
    names = runs.parts_at_hand("set", options.sets, sets, context)
    models_of(options, context)
    rows, facts, read = [], {}, samples.reader(context)
    for name in names:
        inner = runs.subfolder(context, name)
        *source, target = sets[name]
        parts = [
            samples.linked(data, options.images, MOST, inner.path(part), inner, read)
            for data, part in zip([*source, target], ["a", "t"] if source else ["t"], strict=True)
        ]
        work = Work(name, parts[0] if source else None, parts[-1], options, inner)
        new_rows, correction = of_task(work)
        rows += new_rows
        facts[name] = {
            "items": [len(part.classes) for part in parts], "classes": [part.k for part in parts],
            "correction": correction, "seconds": work.seconds,
        }  # fmt: skip
    return Outcome(rows, {"sets": facts})


def models_of(options: PhotosOptions, context: Context) -> "tuple[Model, ...]":
    """Return the backbones. Raises InputError if one is absent, or its weights."""
    from clusterkit.features.models import find_models

    return find_models(options.backbone, options.weights, context, options.size)


def of_task(work: Work) -> tuple[list[Row], dict[str, Any] | None]:
    """Return the rows of all methods on one task, and what `train-g` says of its correction."""
    methods = [name for name in TITLES if name in (work.options.method or TITLES)]
    if work.source is None:
        # Nothing trains a pair head, and the default corrects nothing.
        learning = [name for name in JOINT if issubclass(METHODS[name].options, SourceOptions)]
        methods = [name for name in methods if name not in (*CCN, OWN, *learning)]
    target = embedded(work, "t", work.target)
    rows = yardsticks(work, target, [name for name in methods if name in BEST_OF])
    correction = None
    networks = [name for name in methods if name in CCN]
    if networks and work.source is not None:
        _, pairs = pairs_of(work, work.source, Head.PAIR)
        for name in networks:
            rows += clusterings(work, name, ClusterConfig(pairs=File(str(pairs)), options=CCN[name]))
    if PLAIN in methods:
        rows += clusterings(work, PLAIN, ClusterConfig(method=METHOD, features=File(str(target))))
    if OWN in methods:
        rows += clusterings(work, OWN, default_of(own_pairs(work)[1]))
    if CORRECTED in methods or DEFAULT in methods:
        g, pairs = own_pairs(work) if work.source is None else pairs_of(work, work.source, Head.METRIC)
        correction = runs.extra_of(g)["correction"]
        if CORRECTED in methods:
            rows += clusterings(work, CORRECTED, ClusterConfig(method=METHOD, features=Features.G), g=g)
        if DEFAULT in methods:
            rows += clusterings(work, DEFAULT, default_of(pairs))
            rows += estimates(work, pairs)
            rows += clusterings(work, DEFAULT, default_of(pairs), CountedBy.ESTIMATE)
    joint = [name for name in methods if name in JOINT]
    learned = work.source.by_class(work.context.path("a-classes")) if joint and work.source is not None else None
    for name in joint:
        rows += clusterings(work, name, joint_of(name, target, learned))
    return rows, correction


def joint_of(method: str, target: Path, learned: str | None) -> ClusterConfig:
    """Return the settings of a joint training on the features of T and, if the method learns a set, of `learned`."""
    kind = METHODS[method].options
    # `--resume` compares them with those in the header, where the stage writes the start of the network.
    fields: dict[str, Any] = {"init": Init.RANDOM, "backbone": Backbone.IDENTITY}
    if issubclass(kind, SourceOptions):
        fields["source"] = learned
    return ClusterConfig(method=method, features=File(str(target)), options=kind(**fields))


def default_of(pairs: Path) -> ClusterConfig:
    """Return the settings that `cluster` takes by itself for pairs by a metric."""
    # `--resume` compares them with those in the header, where the stage writes the start of the network.
    return ClusterConfig(pairs=File(str(pairs)), options=CcnOptions(init=Init.G))


def embedded(work: Work, name: str, sample: Sample) -> Path:
    """Return the file of the features of a sample."""
    return runs.run_stage(EmbedConfig(dataset=sample.name, **work.features), runs.subfolder(work.context, f"of-{name}"))


def yardsticks(work: Work, target: Path, methods: Sequence[str]) -> list[Row]:
    """Return the scores and seconds of clusterings with scikit-learn, for K known."""
    import numpy as np

    from clusterkit.artifacts.features import read_features
    from clusterkit.metrics.clustering import scores
    from clusterkit.studies.common.yardsticks import YARDSTICKS, Points

    def vectors(file: Path) -> Any:
        return read_features(file)[1]["all"].x.astype(np.float64)

    source = None if work.source is None else vectors(embedded(work, "a", work.source))
    labels = None if work.source is None else np.array(work.source.classes)
    points, truth, rows = Points(vectors(target), source, labels), np.array(work.target.classes), []
    for method in methods:
        for seed in work.seeds:
            start = time.perf_counter()
            clusters = YARDSTICKS[method](points, work.target.k, seed)
            seconds = round(time.perf_counter() - start, 3)
            fields = {"subset": "mean", "method": method, "k": "known", "seed": seed, "seconds": seconds}
            rows += rows_of(scores(clusters, truth, work.target.k), set=work.name, **fields)
    return rows


def pairs_of(work: Work, source: Sample, head: Head) -> tuple[Path, Path]:
    """Train G on A with a head and predict the pairs of T; return both files."""
    inner = runs.subfolder(work.context, f"g-{head}")
    config = TrainGConfig(dataset=source.name, head=head, **work.features)
    if head is Head.PAIR:
        config = with_training(replace(config, epochs=EPOCHS), Kind.PHOTOS)
    g, work.seconds[head] = measured.run_stage(config, source.labelled(inner))
    return g, runs.run_stage(PredictPairsConfig(dataset=work.target.name), inner)


def own_pairs(work: Work) -> tuple[Path, Path]:
    """Predict the pairs of T by the features' own similarity, which learns no label; return its file and theirs."""
    inner = runs.subfolder(work.context, "g-own")
    g = runs.run_stage(TrainGConfig(dataset=work.target.name, head=Head.METRIC, **work.features), inner)
    return g, runs.run_stage(PredictPairsConfig(dataset=work.target.name), inner)


def clusterings(
    work: Work, method: str, config: ClusterConfig, k: CountedBy = CountedBy.LABELS, g: Path | None = None
) -> list[Row]:
    """Cluster T with each seed and K known or estimated; return the scores and seconds.

    With `g`, each clustering is beside a copy of this G, whose features it reads.
    """
    rows = []
    number: K = work.target.k if k is CountedBy.LABELS else k
    config = replace(config, dataset=work.target.name, k=number)
    for seed in work.seeds:
        inner = runs.subfolder(work.context, f"{method}-k{number}-seed{seed}", seed)
        if g is not None:
            runs.copy_g(g, inner)
        cost = measured.cluster(config, inner, apart=False)
        scores = runs.scores(work.target.labelled(inner), set=work.name, method=method, k=str(k))
        rows += [replace(row, seconds=cost.seconds) for row in where(scores, subset="mean")]
    return rows


def estimates(work: Work, pairs: Path) -> list[Row]:
    """Estimate K of T with each seed, without its labels, for the clusterings with the estimate; return the figures."""
    from clusterkit.stages import estimate_k

    rows = []
    for seed in work.seeds:
        inner = runs.subfolder(work.context, f"{DEFAULT}-k{CountedBy.ESTIMATE}-seed{seed}", seed)
        runs.announce(shlex.join(["estimate-k", "--pairs", str(pairs)]), inner)
        done = estimate_k.run(EstimateKConfig(pairs=str(pairs)), inner)
        [k] = done.recommended.values()
        fields = {"subset": "mean", "method": "estimate-k", "k": str(CountedBy.ESTIMATE), "seed": seed}
        rows += rows_of({"estimate": float(k)}, set=work.name, **fields)
    return rows


def document(options: PhotosOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of ACC, NMI and ARI, of K, of the corrections, and of the seconds."""
    about = f"{options.backbone}" + (f" at {options.size} pixels" if options.size else "")
    return tables(outcome.rows, outcome.facts["sets"], about, options.seeds)


STUDY = Study(__doc__, EXAMPLE, PhotosOptions, (), run, document)
