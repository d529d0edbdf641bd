"""Digits clustered by a similarity that was learned on characters: SPN, tables 1 and 2; L2C, table 13.

Trains G on omniglot_bg, predicts the target's pairs once, clusters it into ten by each loss, and applies the trained
network to the target's test set. Writes omniglot-mnist.md, omniglot-mnist.json and results.csv. All artifacts are in
the folder omniglot-mnist of --workdir, one folder a target and run.
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
from clusterkit.settings import File, Flag, Options
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
    """The set that is clustered, the one that the trained network is applied to, where there is one, and how long.

    Small sets need more epochs for as many batches, and in longer ones a network learns G's wrong pairs by heart.
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
CLUSTER = ClusterConfig(k=10, options=CcnOptions(backbone=Backbone.CONV4_FINE))
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
    g_epochs: Annotated[int, Flag(help="Epochs that G is trained for.", min=1)] = G.epochs
    target: Annotated[tuple[str, ...], Flag(help="Data set to cluster; may be repeated.", choices=TARGETS)] = ("mnist",)
    loss: Losses = PAIR_LOSSES
    epochs: Annotated[
        int | None,
        Flag(
            help="Epochs that each clustering network is trained for.", min=1, default="5; 20 on usps and 30 on digits"
        ),
    ] = None
    rounds: Annotated[
        int,
        Flag(
            help="Trainings of each clustering network: from the second on it learns what the one before is sure of.",
            min=1,
        ),
    ] = 3
    self_train: Annotated[bool, Flag(help="Test G also after it went on learning on the unlabelled target.")] = True


def run(options: OmniglotMnistOptions, context: Context) -> Outcome:
    """Return one-shot tests of G on characters, and the scores of G and of the clusterings of each target."""
    g = runs.g_for(options.g, replace(G, epochs=options.g_epochs), context)
    rows = fill(runs.one_shot(g, CHARACTERS, (5, 20), context, set=CHARACTERS), PAPERS, set="omniglot")
    for name in options.target:
        rows += of_target(name, g, options, runs.inside(context, name))
    return Outcome(rows, {"epochs": {name: options.epochs or TARGETS[name].epochs for name in options.target}})


def of_target(name: str, g: Path, options: OmniglotMnistOptions, context: Context) -> list[Row]:
    """Cluster a target by each loss; return G's scores on it, before and after it learned there, and those of each."""
    target = TARGETS[name]
    rows = g_rows(name, g, "g", context)
    pairs = runs.made(PredictPairsConfig(dataset=target.train, g=str(g)), context)
    assert isinstance(CLUSTER.options, CcnOptions)
    for loss in options.loss:
        inner, of_loss = runs.inside(context, loss), {"set": name, "method": "ccn", "loss": loss, "k": str(CLUSTER.k)}
        ccn = replace(
            CLUSTER.options, loss=loss, variation=target.variation, rounds=options.rounds,
            epochs=options.epochs or target.epochs,
        )  # fmt: skip
        runs.cluster(replace(CLUSTER, dataset=target.train, pairs=File(str(pairs)), options=ccn), inner)
        scores = [replace(row, subset="train") for row in where(runs.scores(inner, **of_loss), subset="mean")]
        if target.test is not None:
            made = runs.made(AssignConfig(dataset=target.test), inner)
            tested = where(runs.scores(inner, made.name, **of_loss), subset="mean")
            scores += [replace(row, subset="test") for row in tested]
        # The paper has one loss.
        rows += fill(scores, PAPERS, loss="")
    if options.self_train:
        config = SelfTrainConfig(dataset=target.train, g=str(g), rounds=SELF_TRAINING)
        rows += g_rows(name, runs.made(config, context), "self-trained g", context)
    return rows


def g_rows(name: str, g: Path, method: str, context: Context) -> list[Row]:
    """Return what G makes of the test set of a target, or of the only set there is: its pairs and a 10-way test."""
    target = TARGETS[name]
    rows = runs.g_scores(g, target.test or target.train, (10,), context, set=name, method=method)
    return fill(rows, PAPERS, set=f"{name}_test")


def document(options: OmniglotMnistOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the clusterings, and of G's one-shot tests and pairs."""
    g = where(outcome.rows, subset="mean")
    tests = [row for row in g if row.metric.endswith("_way")]
    return [
        Heading("Omniglot to MNIST", 1),
        "Published figures are of MNIST and stand in brackets or in a column of their own. NMI is over the geometric "
        "mean of the entropies.",
        Heading("Clusters (SPN, table 2)"),
        "Ten outputs, by the pairs of G as it was transferred. The test set is fed to the network that was trained "
        "on the pairs of the training set.",
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
        "All pairs of the test set, or of the only set there is, binarised at one half.",
        pivot(where(g, metric=SCORES), {"target": "set", "score": lambda row: row.metric.replace("_", " ")}, G_CELLS),
    ]


STUDY = Study(__doc__, EXAMPLE, OmniglotMnistOptions, PAPERS, run, document)
