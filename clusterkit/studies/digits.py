"""A classifier of digits carried to another set of digits by every method (L2C, tables 12 and 13).

Trains G on omniglot_bg, predicts each target's pairs once, and trains each method on the same number of batches. No
label of a target is used but to score. Writes digits.md, digits.json and results.csv. All artifacts are in the folder
digits of --workdir, one folder a task and run.
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
"""As is usual for small networks trained from random weights on digits as they are."""
SELF_TRAINING = SelfTrainConfig.rounds


@dataclass(frozen=True, kw_only=True)
class DigitsOptions(DomainsOptions):
    g: GFile = None
    g_epochs: Annotated[int, Flag(help="Epochs that G is trained for on omniglot_bg.", min=1)] = G.epochs
    task: Annotated[
        tuple[str, ...] | None,
        Flag(help="Source and target; may be repeated.", choices=TASKS, default="all that are here"),
    ] = None
    variation: Annotated[Variation, Flag(help="How much images are varied in training.")] = ADAPT.variation
    self_train: Annotated[
        bool, Flag(name="self-train", help="Let G go on learning on each unlabelled target first.")
    ] = False
    seeds: Annotated[int, Flag(help="How often each training is repeated.", min=1)] = 3


def run(options: DigitsOptions, context: Context) -> Outcome:
    """Return the scores of G on each target, and of each method and seed on each task."""
    at_hand = {name: [one.source, one.target] for name, one in TASKS.items()}
    names = runs.parts_at_hand("task", options.task, at_hand, context)
    config = config_of(options)
    g = runs.g_for(options.g, replace(G, epochs=options.g_epochs), context)
    rows = []
    for target, judged in dict.fromkeys((TASKS[name].target, TASKS[name].judged) for name in names):
        of_target = runs.inside(context, target)
        chosen = g
        if options.self_train:
            learning = SelfTrainConfig(dataset=target, g=str(g), rounds=SELF_TRAINING)
            chosen = runs.made(learning, of_target)
        pairs = runs.made(PredictPairsConfig(dataset=target, g=str(chosen)), of_target)
        rows += runs.g_scores(chosen, judged, (), of_target, set=judged)
        for name in names:
            if TASKS[name].target == target:
                scores, _ = domains.compare(name, TASKS[name], options, config, pairs, runs.inside(context, name))
                rows += scores
    return Outcome(rows)


def config_of(options: DigitsOptions) -> AdaptConfig:
    return replace(options.shared(ADAPT), variation=options.variation)


def document(options: DigitsOptions, outcome: Outcome) -> list[Part]:
    """Return the tables of the methods, of G's pairs, and of what was published."""
    g = where(outcome.rows, method="g", subset="mean")
    rows = where(outcome.rows, method=list(ADAPTATIONS))
    when = "after it went on learning on the unlabelled target" if options.self_train else "as it was transferred"
    return [
        Heading("Digits from another domain", 1),
        f"Accuracy, nothing matched, after the last step; mean ± standard deviation over {options.seeds} "
        "seeds; published figures in brackets. `target` is the set that was learned from without its labels "
        f"(transductive), `test` its test set (inductive). The pairs are those of G {when}.",
        pivot(
            where(rows, metric="accuracy"),
            {"task": "set", "method": domains.titled},
            [(subset, mean(subset=subset)) for subset in ("test", "target")],
        ),
        *domains.signs(rows),
        *domains.oracle(rows),
        Heading("Pairs of the target by G (L2C, table 13)"),
        "All pairs of the test set, binarised at one half.",
        pivot(g, {"target": "set"}, [(name.replace("_", " "), mean(name)) for name in SCORES]),
        Heading("SVHN to MNIST as published (L2C, table 12)"),
        published(),
        *domains.budget(options, config_of(options)),
    ]


def published() -> Table:
    """Return the table of the methods of several papers, each with its own source-only."""
    lines, before = [], 0.0
    for one in figures():
        if one.set != "svhn-mnist":
            continue
        if one.method == "source-only":
            before = one.value
            continue
        title = ADAPTATIONS[one.method].title if one.method in ADAPTATIONS else one.method
        lines.append([one.paper, title, f"{before:.3f}", f"{one.value:.3f}", f"{one.value - before:+.3f}"])
    return Table(["from", "method", "source-only", "adapted", "gain"], lines)


STUDY = Study(__doc__, EXAMPLE, DigitsOptions, domains.PAPERS, run, document)
