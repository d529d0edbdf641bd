"""clusterkit reproduce digits"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.adaptation import PairOptions
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.reproduce import domains, runs
from clusterkit.cli.reproduce.domains import Task
from clusterkit.config import AdaptConfig, Precision, PredictPairsConfig, SelfTrainConfig, Variation
from clusterkit.losses import parse_loss

EXAMPLE = "Example: clusterkit reproduce digits --task usps-mnist --seeds 1"

G = runs.OMNIGLOT_G
TASKS = {
    "usps-mnist": Task("usps_train", "mnist_train", "mnist_test"),
    "mnist-usps": Task("mnist_train", "usps_train", "usps_test"),
    "svhn-mnist": Task("svhn_train", "mnist_train", "mnist_test"),
}
ADAPT = AdaptConfig(source="", target="", learning_rate=0.03, variation=Variation.NONE)
"""As is usual for small networks trained from random weights on digits as they are."""
SELF_TRAINING = SelfTrainConfig.rounds


def register(group: typer.Typer) -> None:
    group.command("digits", epilog=EXAMPLE)(with_common(digits))


def digits(
    common: Common,
    g: Annotated[Path | None, typer.Option(help="A G to take instead of training one.")] = None,
    g_epochs: Annotated[int, typer.Option(min=1, help="Epochs of G on omniglot_bg.")] = G.epochs,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[usps-mnist|mnist-usps|svhn-mnist]", help="May be repeated.", show_default="all that are here"
        ),
    ] = None,
    method: domains.Methods = domains.METHODS,
    loss: domains.PairLoss = PairOptions.loss,
    variation: Annotated[Variation, typer.Option(help="How much digits are varied.")] = ADAPT.variation,
    self_train: Annotated[
        bool, typer.Option("--self-train", help="Let G go on learning on each unlabelled target first.")
    ] = False,
    steps: domains.Steps = AdaptConfig.steps,
    source_batch: domains.SourceBatch = AdaptConfig.source_batch,
    target_batch: domains.TargetBatch = AdaptConfig.target_batch,
    seeds: domains.Seeds = 3,
    precision: Precise = Precision.FP32,
    oracle: domains.Oracle = False,
    resume: Resume = False,
) -> None:
    """A classifier of digits carried to another set of digits by every method (L2C, tables 12 and 13).

    Trains G on omniglot_bg, predicts each target's pairs once, and trains each method on the same number of batches.
    No label of a target is used but to score.
    Writes digits.md and digits.json. All artifacts are in the folder digits of --workdir, one folder a task and run.
    """
    from clusterkit.report import adaptation as report

    runs.unknown("method", method, domains.METHODS)
    names = runs.wanted("task", task, {name: [one.source, one.target] for name, one in TASKS.items()}, common.context)
    config = replace(ADAPT, variation=variation, steps=steps, precision=precision)
    options = PairOptions(loss=parse_loss(loss))
    config = replace(config, options=options, source_batch=source_batch, target_batch=target_batch)
    context = runs.inside(common.context, "digits")
    given = runs.g_for(g, replace(G, epochs=g_epochs), context)
    trained = domains.trained(config, seeds)
    results: dict[str, Any] = {"trained": trained, "self-trained": self_train, "pairs": [], "tasks": {}}
    for target, test in dict.fromkeys((TASKS[name].target, TASKS[name].test) for name in names):
        of_target = runs.inside(context, target)
        chosen = given
        if self_train:
            chosen = runs.self_train(SelfTrainConfig(dataset=target, g=str(given), rounds=SELF_TRAINING), of_target)
        pairs = runs.predict_pairs(PredictPairsConfig(dataset=target, g=str(chosen)), of_target)
        judged = test or target
        results["pairs"].append({"target": judged, **domains.g_pairs(chosen, judged, of_target)})
        for name in names:
            if TASKS[name].target == target:
                inner = runs.inside(context, name)
                results["tasks"][name] = domains.compare(TASKS[name], method, config, pairs, seeds, oracle, inner)
    runs.write_tables("digits", report.digits(results), results, context, common.as_json)
