"""clusterkit reproduce omniglot-mnist"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.reproduce import runs
from clusterkit.config import (
    AssignConfig,
    Backbone,
    ClusterConfig,
    Context,
    EvaluateConfig,
    PredictPairsConfig,
    SelfTrainConfig,
    Variation,
)
from clusterkit.losses import Loss, parse_loss
from clusterkit.methods import CcnOptions
from clusterkit.settings import File

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
ROUNDS = 3
SELF_TRAINING = SelfTrainConfig.rounds
FIRST = ["mnist"]


def register(group: typer.Typer) -> None:
    group.command("omniglot-mnist", epilog=EXAMPLE)(with_common(omniglot_mnist))


def omniglot_mnist(
    common: Common,
    g: Annotated[Path | None, typer.Option(help="A G to take instead of training one.")] = None,
    g_epochs: Annotated[int, typer.Option(min=1, help="How long G is trained.")] = G.epochs,
    target: Annotated[
        list[str], typer.Option(metavar="[mnist|fashion_mnist|usps|digits]", help="May be repeated.")
    ] = FIRST,
    loss: Annotated[
        list[str], typer.Option(metavar="[kcl|ccl]", help="Pair loss; may be repeated.")
    ] = runs.PAIR_LOSSES,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="How long each clustering network is trained.", show_default="5; 20 on usps and 30 on digits"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Of clustering: from the second on by what the one before is sure of.")
    ] = ROUNDS,
    self_train: Annotated[
        bool, typer.Option(help="Test G also after it went on learning on the unlabelled target.")
    ] = True,
    resume: Resume = False,
) -> None:
    """Digits clustered by a similarity that was learned on characters: SPN, tables 1 and 2; L2C, table 13.

    Trains G on omniglot_bg, predicts the target's pairs once, clusters it into ten by each loss, applies the trained
    network to the target's test set, and writes omniglot-mnist.md and omniglot-mnist.json. All artifacts are in the
    folder omniglot-mnist of --workdir, one folder a target and run.
    """
    from clusterkit.report import omniglot_mnist as report

    runs.unknown("target", target, list(TARGETS))
    losses = [parse_loss(name) for name in dict.fromkeys(loss)]
    context = runs.inside(common.context, "omniglot-mnist")
    given = runs.g_for(g, replace(G, epochs=g_epochs), context)
    results: dict[str, Any] = {"characters": runs.one_shot(given, CHARACTERS, (5, 20), context), "targets": {}}
    for name in dict.fromkeys(target):
        target_of = TARGETS[name] if epochs is None else replace(TARGETS[name], epochs=epochs)
        results["targets"][name] = run(target_of, given, losses, rounds, self_train, runs.inside(context, name))
    runs.write_tables("omniglot-mnist", report.markdown(results), results, context, common.as_json)


def run(target: Target, g: Path, losses: list[Loss], rounds: int, self_train: bool, context: Context) -> dict[str, Any]:
    """Cluster a target by each loss; return G's scores on it, before and after it learned there, and those of each."""
    train, test = target.train, target.test
    found: dict[str, Any] = {"g": g_scores(g, test or train, context), "runs": []}
    pairs = runs.predict_pairs(PredictPairsConfig(dataset=train, g=str(g)), context)
    for loss in losses:
        inner = runs.inside(context, loss)
        options = CLUSTER.options
        assert isinstance(options, CcnOptions)
        options = replace(options, loss=loss, variation=target.variation, rounds=rounds, epochs=target.epochs)
        runs.cluster(replace(CLUSTER, dataset=train, pairs=File(str(pairs)), options=options), inner)
        scores = {"train": runs.scores(inner)["mean"]}
        if test is not None:
            assigned = runs.assign(AssignConfig(dataset=test), inner)
            scores["test"] = runs.scores(inner, assigned.name)["mean"]
        found["runs"].append({"loss": loss, "epochs": target.epochs, "rounds": rounds, **scores})
    if self_train:
        g = runs.self_train(SelfTrainConfig(dataset=train, g=str(g), rounds=SELF_TRAINING), context)
        found["self-trained g"] = g_scores(g, test or train, context)
    return found


def g_scores(g: Path, dataset: str, context: Context) -> dict[str, float]:
    """Return what G makes of a set: its pairs and a 10-way one-shot test."""
    from clusterkit.stages import evaluate

    return evaluate.run(EvaluateConfig(g=str(g), dataset=dataset, ways=(10,)), context).mean
