"""Adapt a classifier of digits to another set of digits by every method (L2C, tables 12 and 13).

Trains G on omniglot_bg, predicts the pairs of each target once, and trains every method on the same number of batches.
Uses labels of a target only to score. Writes digits.md, digits.json and results.csv. All files are in the folder digits
of --workdir, with one folder per task and run.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.config import AdaptConfig, Context, PredictPairsConfig, SelfTrainConfig, Variation
from clusterkit.settings import Flag
from clusterkit.studies.common import domains, runs
from clusterkit.studies.common.domains import DomainsOptions, Task
from clusterkit.studies.common.driver import Outcome, Study
from clusterkit.studies.common.flags import GFile
from clusterkit.studies.common.published import figures
from clusterkit.studies.common.tables import SCORES, Heading, Part, Table, mean, pivot, where

EXAMPLE = "Example: clusterkit reproduce digits --task usps-mnist --seeds 1"

G = runs.OMNIGLOT_G
TASKS = {
    "usps-mnist": Task("usps_train", "mnist_train", "mnist_test"),
    "mnist-usps": Task("mnist_train", "usps_train", "usps_test"),
    "svhn-mnist": Task("svhn_train", "mnist_train", "mnist_test"),
}
ADAPT = AdaptConfig(source="", target="", learning_rate=0.03, variation=Variation.NONE)
"""Usual settings for small networks that start from random weights and are trained without augmentation."""
SELF_TRAINING = SelfTrainConfig.rounds


@dataclass(frozen=True, kw_only=True)
class DigitsOptions(DomainsOptions):
    g: GFile = None
    g_epochs: Annotated[int, Flag(help="Passes of G over omniglot_bg.", min=1)] = runs.OMNIGLOT_EPOCHS
    task: Annotated[
        tuple[str, ...] | None,
        Flag(help="Source and target; may be repeated.", choices=TASKS, default="all that are present"),
    ] = None
    variation: Annotated[
        Variation,
        Flag(
            help="Augmentation: none; mild changes images a little; strong also bends characters, erased blanks parts "
            "of them."
        ),
    ] = ADAPT.variation
    self_train: Annotated[bool, Flag(name="self-train", help="Run self-train on each unlabelled target first.")] = False
    seeds: Annotated[int, Flag(help="Number of trainings of each method, with consecutive seeds.", min=1)] = 3


def run(options: DigitsOptions, context: Context) -> Outcome:
    """Return the scores of G on each target, and of each method and seed on each task."""
    sets = {name: [task.source, task.target] for name, task in TASKS.items()}
    names = runs.parts_at_hand("task", options.task, sets, context)
    config = config_of(options)
    g = runs.g_for(options.g, replace(G, epochs=options.g_epochs), context)
    rows = []
    for target, test in dict.fromkeys((TASKS[name].target, TASKS[name].judged) for name in names):
        inner = runs.subfolder(context, target)
        pair_g = g
        if options.self_train:
            pair_g = runs.run_stage(SelfTrainConfig(dataset=target, g=str(g), rounds=SELF_TRAINING), inner)
        pairs = runs.run_stage(PredictPairsConfig(dataset=target, g=str(pair_g)), inner)
        rows += runs.g_scores(pair_g, test, (), inner, set=test)
        for name in names:
            if TASKS[name].target == target:
                scores, _ = domains.compare(name, TASKS[name], options, config, pairs, runs.subfolder(context, name))
                rows += scores
    return Outcome(rows)


def config_of(options: DigitsOptions) -> AdaptConfig:
    return replace(options.shared(ADAPT), variation=options.variation)


def document(options: DigitsOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the methods, of G's pairs, and of the published accuracies."""
    g = where(outcome.rows, method="g", subset="mean")
    rows = where(outcome.rows, method=list(ADAPTATIONS))
    training = "after self-train on the unlabelled target" if options.self_train else "as transferred"
    return [
        Heading("Digits from another domain", 1),
        f"Accuracy after the last step, without matching outputs to classes: mean ± standard deviation over "
        f"{options.seeds} seeds. Published figures are in brackets. `target` is the unlabelled training set "
        f"(transductive), `test` its test set (inductive). The pairs are those of G {training}.",
        pivot(
            where(rows, metric="accuracy"),
            {"task": "set", "method": domains.titled},
            [(subset, mean(subset=subset)) for subset in ("test", "target")],
        ),
        *domains.signs(rows),
        *domains.oracle(rows),
        Heading("Pairs of the target by G (L2C, table 13)"),
        "Scores of all pairs of the test set, binarised at probability one half.",
        pivot(g, {"target": "set"}, [(name.replace("_", " "), mean(name)) for name in SCORES]),
        Heading("SVHN to MNIST as published (L2C, table 12)"),
        published(),
        *domains.budget(options, config_of(options)),
    ]


def published() -> Table:
    """Return the published accuracies of several papers, each beside that of its own source-only."""
    lines, source_only = [], 0.0
    for figure in figures():
        if figure.set != "svhn-mnist":
            continue
        if figure.method == "source-only":
            source_only = figure.value
            continue
        title = ADAPTATIONS[figure.method].title if figure.method in ADAPTATIONS else figure.method
        gain = figure.value - source_only
        lines.append([figure.paper, title, f"{source_only:.3f}", f"{figure.value:.3f}", f"{gain:+.3f}"])
    return Table(["from", "method", "source-only", "adapted", "gain"], lines)


STUDY = Study(__doc__, EXAMPLE, DigitsOptions, domains.PAPERS, run, document)
