"""Compare clustering by true pairs with classification, for networks of several depths (CCL, tables 1 and 2).

Trains each network by cross entropy on labels and by each pair loss on all true pairs, with one output per class, and
applies it to the test set. It is a supervised study: every loss uses the labels of the training set. Writes
supervised.md, supervised.json and results.csv. All files are in the folder supervised of --workdir, with one folder per
run.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from clusterkit.config import AssignConfig, Backbone, ClusterConfig, Context, Optimizer, Precision, PretrainConfig
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.metrics.rows import Row
from clusterkit.settings import Flag, Init, Options, TruePairs
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import Precise
from clusterkit.studies.common.tables import Heading, Part, Rows, Table, mean, pivot, seeds, where

EXAMPLE = "Example: clusterkit reproduce supervised --set mnist"


@dataclass(frozen=True)
class Setting:
    """The settings of the trainings on a set (CCL, appendix A)."""

    k: int
    backbones: tuple[Backbone, ...]
    epochs: int
    drop_every: int
    batch_size: int
    learning_rate: float
    optimizer: Optimizer

    def scaled(self, budget: float) -> "Setting":
        """Return the setting with a share of its epochs and of those between drops of the rate, at least 1 of each."""
        epochs, drop_every = (runs.share_of(count, budget) for count in (self.epochs, self.drop_every))
        return replace(self, epochs=epochs, drop_every=drop_every)


CIFAR10 = (
    Backbone.LENET, Backbone.VGG8, Backbone.VGG11, Backbone.VGG16, Backbone.PREACTRESNET18, Backbone.PREACTRESNET101,
)  # fmt: skip
SETTINGS = {
    "mnist": Setting(10, (Backbone.LENET,), 30, 10, 100, 0.1, Optimizer.SGD),
    "cifar10": Setting(10, CIFAR10, 70, 30, 100, 0.1, Optimizer.SGD),
    "cifar100": Setting(100, (Backbone.VGG8,), 160, 70, 1000, 0.001, Optimizer.ADAM),
}
CROSS_ENTROPY = "ce"
SHOWN = ("epochs", "batch_size", "optimizer", "learning_rate", "drop_every")
LOSSES = (CROSS_ENTROPY, *Loss)


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(Options):
    sets: Annotated[
        tuple[str, ...] | None,
        Flag(name="set", help="Data set; may be repeated.", choices=SETTINGS, default="all that are present"),
    ] = None
    backbone: Annotated[
        tuple[Backbone, ...] | None,
        Flag(help="Backbone to train; may be repeated.", metavar="NAME", default="those of the paper"),
    ] = None
    loss: Annotated[tuple[str, ...], Flag(help="Cross entropy or a pair loss; may be repeated.", choices=LOSSES)] = (
        LOSSES
    )
    budget: Annotated[
        float,
        Flag(help="Share of the paper's epochs, and of those between drops of the learning rate.", min=0.001, max=1),
    ] = 1.0
    seeds: Annotated[int, Flag(help="Number of trainings of each network, with consecutive seeds.", min=1)] = 1
    precision: Precise = Precision.FP32


def run(options: SupervisedOptions, context: Context) -> Outcome:
    """Return the scores of each network and loss on the test set, and the settings of each set's training."""
    names = runs.parts_at_hand("set", options.sets, {name: [parts(name)[0]] for name in SETTINGS}, context)
    rows, trainings = [], {}
    for name in names:
        setting = SETTINGS[name].scaled(options.budget)
        trainings[name] = {field: getattr(setting, field) for field in SHOWN}
        for network in options.backbone or setting.backbones:
            for loss in options.loss:
                for seed in range(context.seed, context.seed + options.seeds):
                    rows += train_and_score(name, network, loss, setting, options.precision, context, seed)
    return Outcome(rows, {"trained": trainings})


def parts(name: str) -> tuple[str, str]:
    """Return the data sets to train and to test on."""
    return f"{name}_train", f"{name}_test"


def train_and_score(
    name: str, network: Backbone, loss: str, setting: Setting, precision: Precision, context: Context, seed: int
) -> list[Row]:
    """Train one network in its own folder; return its scores on the test set."""
    inner = runs.subfolder(context, f"{name}-{network}-{loss}-seed{seed}", seed)
    shared: dict[str, Any] = {field: getattr(setting, field) for field in SHOWN}
    shared |= {"backbone": network, "precision": precision}
    train, test = parts(name)
    if loss == CROSS_ENTROPY:
        model = runs.run_stage(PretrainConfig(dataset=train, **shared), inner).name
    else:
        ccn = CcnOptions(loss=Loss(loss), init=Init.RANDOM, **shared)
        runs.cluster(ClusterConfig(dataset=train, k=setting.k, pairs=TruePairs(), options=ccn), inner)
        model = AssignConfig.model
    assignments = runs.run_stage(AssignConfig(dataset=test, model=model), inner)
    return runs.scores(inner, assignments.name, set=name, method=str(network), loss=loss, k=str(setting.k))


def document(options: SupervisedOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of accuracies by network and loss, and of the settings of each set's training."""
    pair_losses = [loss for loss in options.loss if loss != CROSS_ENTROPY]

    def clusters(rows: Rows) -> str:
        return ", ".join(mean("clusters", digits=0, loss=loss)(rows) for loss in pair_losses)

    return [
        Heading("Supervised clustering", 1),
        f"Accuracy on the test set after {options.budget:g} of the paper's epochs, in {options.precision}: mean ± "
        "standard deviation over the seeds. Published figures are in brackets (CCL, tables 1 and 2). CE learns from "
        "labels, and its outputs are classes. KCL and CCL learn from all true pairs of each batch, and their clusters "
        "are matched with classes one to one. The column of clusters counts those that are not empty.",
        pivot(
            where(outcome.rows, subset="mean"),
            {"set": "set", "network": "method", "K": "k"},
            [
                *(
                    (loss.upper(), mean("accuracy" if loss == CROSS_ENTROPY else "acc", loss=loss))
                    for loss in options.loss
                ),
                ("clusters", clusters),
                ("seeds", seeds),
            ],
        ),
        Heading("Trained with"),
        Table(
            ["set", "epochs", "batch", "optimizer", "learning rate", "divided by ten every"],
            [
                [name, *(f"{values[field]:g}" if field == "learning_rate" else str(values[field]) for field in SHOWN)]
                for name, values in outcome.facts["trained"].items()
            ],
        ),
    ]


STUDY = Study(__doc__, EXAMPLE, SupervisedOptions, ("CCL",), run, document)
