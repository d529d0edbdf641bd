"""Cluster digits by a G that learned from characters (SPN, tables 1 and 2; L2C, table 13).

Trains G on omniglot_bg, predicts the pairs of the target once, clusters the target with ten outputs by each loss, and
applies the trained network to the target's test set. Writes omniglot-mnist.md, omniglot-mnist.json and results.csv. All
files are in the folder omniglot-mnist of --workdir, with one folder per target and run.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from clusterkit.config import (
    AssignConfig,
    Backbone,
    ClusterConfig,
    Context,
    PredictPairsConfig,
    SelfTrainConfig,
    Variation,
)
from clusterkit.methods import CcnOptions
from clusterkit.metrics.rows import Row
from clusterkit.settings import File, Flag, Init, Options
from clusterkit.studies.common import runs
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import PAIR_LOSSES, GFile, Losses
from clusterkit.studies.common.published import fill
from clusterkit.studies.common.tables import SCORES, Heading, Part, first, mean, pivot, where

EXAMPLE = "Example: clusterkit reproduce omniglot-mnist --loss kcl"

G = runs.OMNIGLOT_G
CHARACTERS = "omniglot_eval"


@dataclass(frozen=True)
class Target:
    """The set to cluster, its test set, and the epochs and augmentation of the training.

    A small set needs more epochs for the same number of batches. In a longer training, a network learns G's wrong pairs
    by heart.
    """

    train: str
    test: str | None
    epochs: int
    variation: Variation = Variation.ERASED


TARGETS = {
    "mnist": Target("mnist_train", "mnist_test", 5),
    "fashion_mnist": Target("fashion_mnist_train", "fashion_mnist_test", 5, Variation.MILD),
    "usps": Target("usps_train", "usps_test", 20),
    "digits": Target("digits", None, 30),
}
CLUSTER = ClusterConfig(k=10, options=CcnOptions(init=Init.RANDOM, backbone=Backbone.CONV4_FINE))
SELF_TRAINING = SelfTrainConfig.rounds
PAPERS = ("SPN", "L2C")
G_CELLS = [
    ("G", first(method="g")),
    ("self-trained", first(method="self-trained g")),
    ("published", first(method="g", field="published")),
]


@dataclass(frozen=True, kw_only=True)
class OmniglotMnistOptions(Options):
    g: GFile = None
    g_epochs: Annotated[int, Flag(help="Passes of G over omniglot_bg.", min=1)] = runs.OMNIGLOT_EPOCHS
    target: Annotated[tuple[str, ...], Flag(help="Data set to cluster; may be repeated.", choices=TARGETS)] = ("mnist",)
    loss: Losses = PAIR_LOSSES
    epochs: Annotated[
        int | None,
        Flag(help="Passes of each clustering network over its set.", min=1, default="5; 20 on usps and 30 on digits"),
    ] = None
    rounds: Annotated[
        int,
        Flag(
            help="Number of trainings. Each but the first learns the clusters of the previous one that the nearest "
            "neighbours of each image confirm.",
            min=1,
        ),
    ] = 3
    self_train: Annotated[bool, Flag(help="Test G also after self-train on the unlabelled target.")] = True


def run(options: OmniglotMnistOptions, context: Context) -> Outcome:
    """Return the one-shot tests of G on characters, and the scores of G and of the clusterings of each target."""
    g = runs.g_for(options.g, replace(G, epochs=options.g_epochs), context)
    rows = fill(runs.one_shot(g, CHARACTERS, (5, 20), context, set=CHARACTERS), PAPERS, set="omniglot")
    for name in options.target:
        rows += of_target(name, g, options, runs.subfolder(context, name))
    return Outcome(rows, {"epochs": {name: options.epochs or TARGETS[name].epochs for name in options.target}})


def of_target(name: str, g: Path, options: OmniglotMnistOptions, context: Context) -> list[Row]:
    """Cluster a target by each loss; return the scores of the clusterings and of G, before and after self-train."""
    target = TARGETS[name]
    rows = g_rows(name, g, "g", context)
    pairs = runs.run_stage(PredictPairsConfig(dataset=target.train, g=str(g)), context)
    assert isinstance(CLUSTER.options, CcnOptions)
    for loss in options.loss:
        inner, fields = runs.subfolder(context, loss), {"set": name, "method": "ccn", "loss": loss, "k": str(CLUSTER.k)}
        ccn = replace(
            CLUSTER.options, loss=loss, variation=target.variation, rounds=options.rounds,
            epochs=options.epochs or target.epochs,
        )  # fmt: skip
        runs.cluster(replace(CLUSTER, dataset=target.train, pairs=File(str(pairs)), options=ccn), inner)
        scores = [replace(row, subset="train") for row in where(runs.scores(inner, **fields), subset="mean")]
        if target.test is not None:
            assignments = runs.run_stage(AssignConfig(dataset=target.test), inner)
            test_scores = where(runs.scores(inner, assignments.name, **fields), subset="mean")
            scores += [replace(row, subset="test") for row in test_scores]
        # The paper has one loss, whose figures stand beside both.
        rows += fill(scores, PAPERS, loss="")
    if options.self_train:
        config = SelfTrainConfig(dataset=target.train, g=str(g), rounds=SELF_TRAINING)
        rows += g_rows(name, runs.run_stage(config, context), "self-trained g", context)
    return rows


def g_rows(name: str, g: Path, method: str, context: Context) -> list[Row]:
    """Return the scores of G's pairs and a 10-way test on a target's test set, or on the target if it has none."""
    target = TARGETS[name]
    rows = runs.g_scores(g, target.test or target.train, (10,), context, set=name, method=method)
    return fill(rows, PAPERS, set=f"{name}_test")


def document(options: OmniglotMnistOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the clusterings, and of G's one-shot tests and pairs."""
    g = where(outcome.rows, subset="mean")
    tests = [row for row in g if row.metric.endswith("_way")]
    return [
        Heading("Omniglot to MNIST", 1),
        "Published figures are of MNIST, in brackets or in their own column. NMI is normalised by the geometric mean "
        "of the entropies.",
        Heading("Clusters (SPN, table 2)"),
        "Networks with ten outputs, trained on the pairs of the training set by G as transferred, then applied to the "
        "test set.",
        pivot(
            where(outcome.rows, method="ccn"),
            {
                "target": "set",
                "loss": lambda row: row.loss.upper(),
                "epochs": lambda row: str(outcome.facts["epochs"][row.set]),
                "rounds": lambda row: str(options.rounds),
            },
            [
                (f"{metric.upper()} {part}", mean(metric, subset=part))
                for part in ("train", "test")
                for metric in ("acc", "nmi")
            ],
        ),
        Heading("One-shot tests of G (SPN, table 1)"),
        pivot(tests, {"set": "set", "ways": lambda row: row.metric.partition("_")[0]}, G_CELLS),
        Heading("Pairs by G (L2C, table 13)"),
        "Scores of all pairs of the test set, or of the target if it has none, binarised at probability one half.",
        pivot(where(g, metric=SCORES), {"target": "set", "score": lambda row: row.metric.replace("_", " ")}, G_CELLS),
    ]


STUDY = Study(__doc__, EXAMPLE, OmniglotMnistOptions, PAPERS, run, document)
