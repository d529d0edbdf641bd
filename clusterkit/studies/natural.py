"""Cluster unseen categories of photos: of ImageNet (L2C, table 8; CCL, table 3), and half of those of CIFAR-10.

Pretrains a classifier of the known classes, trains G on the same classes from its backbone, and predicts the pairs of
the unseen classes once. Clusters the unseen classes by networks that start from the same backbone, with each loss, and
by k-means on its features. Writes natural.md, natural.json and results.csv. All files are in the folder natural of
--workdir, with one folder per set and run.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from clusterkit.config import (
    Backbone,
    ClusterConfig,
    Context,
    Kind,
    Precision,
    PredictPairsConfig,
    PretrainConfig,
    TrainGConfig,
)
from clusterkit.features.choice import with_training
from clusterkit.methods import CcnOptions
from clusterkit.metrics.rows import Row
from clusterkit.settings import File, Flag, Options
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import PAIR_LOSSES, Clusterings, Losses, Precise
from clusterkit.studies.common.tables import SCORES, Heading, Part, Table, first, mean, pivot, seeds, titled, where

EXAMPLE = "Example: clusterkit reproduce natural --set cifar10 --budget 0.2"


@dataclass(frozen=True)
class Setting:
    """Data sets of the known classes, of the unseen classes and to test G on; values of K; settings of the networks."""

    source: str
    target: str
    test: str
    ks: tuple[int, ...]
    backbone: Backbone
    classes_per_batch: int
    images_per_class: int
    pretrain_epochs: int
    g_epochs: int
    cluster_epochs: int


SETTINGS = {
    "cifar10": Setting(
        "cifar10_train@0-4", "cifar10_train@5-9", "cifar10_test@5-9", (5, 20), Backbone.VGG8, 5, 20, 100, 50, 20
    ),
    "imagenet": Setting(
        "imagenet882", "imagenet118_30", "imagenet118_30", (30, 100), Backbone.RESNET18, 20, 5, 90, 30, 30
    ),
}
EPOCHS = ("pretrain_epochs", "g_epochs", "cluster_epochs")


@dataclass(frozen=True, kw_only=True)
class NaturalOptions(Options):
    sets: Annotated[
        tuple[str, ...] | None,
        Flag(name="set", help="Data set; may be repeated.", choices=SETTINGS, default="all that are present"),
    ] = None
    backbone: Annotated[
        Backbone | None, Flag(help="Backbone of all networks.", default="vgg8 on cifar10, resnet18 on imagenet")
    ] = None
    loss: Losses = PAIR_LOSSES
    budget: Annotated[float, Flag(help="Share of the epochs of every training.", min=0.001, max=1)] = 1.0
    seeds: Clusterings = 1
    precision: Precise = Precision.FP32


def run(options: NaturalOptions, context: Context) -> Outcome:
    """Return the scores of G on the unseen classes and of each clustering, and the settings of each set's training."""
    sources = {name: [setting.source] for name, setting in SETTINGS.items()}
    rows, trainings = [], {}
    for name in runs.parts_at_hand("set", options.sets, sources, context):
        setting = SETTINGS[name]
        epochs: dict[str, Any] = {field: runs.share_of(getattr(setting, field), options.budget) for field in EPOCHS}
        setting = replace(setting, backbone=options.backbone or setting.backbone, **epochs)
        trainings[name] = {"backbone": setting.backbone, **epochs}
        rows += of_set(name, setting, options, runs.subfolder(context, name))
    return Outcome(rows, {"trained": trainings})


def of_set(name: str, setting: Setting, options: NaturalOptions, context: Context) -> list[Row]:
    """Return the scores of G on the unseen classes of a set, and of each method, K and seed."""
    pretrained = runs.run_stage(
        PretrainConfig(
            dataset=setting.source, backbone=setting.backbone, epochs=setting.pretrain_epochs,
            precision=options.precision,
        ),
        context,
    )  # fmt: skip
    g = TrainGConfig(
        dataset=setting.source, epochs=setting.g_epochs, classes_per_batch=setting.classes_per_batch,
        images_per_class=setting.images_per_class, init=pretrained, precision=options.precision,
    )  # fmt: skip
    g = with_training(g, Kind.PHOTOS)
    rows = runs.g_scores(runs.run_stage(g, context), setting.test, (5,), context, set=name)
    pairs = runs.run_stage(PredictPairsConfig(dataset=setting.target), context)
    start = File(str(pretrained))
    ccn = CcnOptions(init=start, epochs=setting.cluster_epochs, precision=options.precision)
    configs = [ClusterConfig(dataset=setting.target, method="kmeans", features=start)]
    configs += [
        ClusterConfig(dataset=setting.target, pairs=File(str(pairs)), options=replace(ccn, loss=loss))
        for loss in options.loss
    ]
    for k in setting.ks:
        for config in configs:
            loss = config.options.loss if isinstance(config.options, CcnOptions) else ""
            for seed in range(context.seed, context.seed + options.seeds):
                inner = runs.subfolder(context, f"{loss or config.method}-k{k}-seed{seed}", seed)
                runs.cluster(replace(config, k=k), inner)
                rows += runs.scores(inner, set=name, method=config.method, loss=loss, k=str(k))
    return rows


def document(options: NaturalOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the clusterings, of G's pairs, and of the settings of each training."""
    means = where(outcome.rows, subset="mean")
    return [
        Heading("Unseen categories of photos", 1),
        f"Scores after {options.budget:g} of the epochs, in {options.precision}: mean ± standard deviation over the "
        "seeds of the clustering. Published figures are in brackets.",
        pivot(
            [row for row in means if row.method != "g"],
            {"set": "set", "method": titled, "K": "k"},
            [
                *((metric.upper(), mean(metric)) for metric in ("acc", "nmi", "ari")),
                ("clusters", mean("clusters", digits=0)),
                ("seeds", seeds),
            ],
        ),
        Heading("Pairs of the unseen classes by G (L2C, table 9)"),
        pivot(
            where(means, method="g", metric=SCORES),
            {"set": "set", "score": lambda row: row.metric.replace("_", " ")},
            [("G", first()), ("published", first(field="published"))],
        ),
        Heading("Trained with"),
        Table(
            ["set", "backbone", "epochs of the classifier", "epochs of G", "epochs of a clustering"],
            [[name, *map(str, settings.values())] for name, settings in outcome.facts["trained"].items()],
        ),
    ]


STUDY = Study(__doc__, EXAMPLE, NaturalOptions, ("L2C", "CCL", "SUPREME"), run, document)
