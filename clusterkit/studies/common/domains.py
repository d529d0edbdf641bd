"""Shared code of the studies of adaptation: every method on one source and target with one budget, and tables."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from clusterkit.adaptation import ADAPTATIONS, PairOptions, with_options
from clusterkit.config import AdaptConfig, AssignConfig, Context, Precision
from clusterkit.losses import Loss, parse_loss
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import Flag, Options
from clusterkit.studies.common import runs
from clusterkit.studies.common.flags import Precise
from clusterkit.studies.common.published import fill
from clusterkit.studies.common.tables import Heading, Label, Part, Rows, Table, mean, pivot, where

PAPERS = ("L2C",)
SIGNS = ("entropy", "balance", "agreement")
ORACLE = "best_accuracy"
SHARED = (
    "backbone", "fine_tune", "size", "steps", "source_batch", "target_batch", "loss", "optimizer", "learning_rate",
    "variation", "precision",
)  # fmt: skip
"""The settings in the table of the budget that all methods share."""


@dataclass(frozen=True)
class Task:
    """A labelled source, an unlabelled target of the same classes, and the target's test set, None without one."""

    source: str
    target: str
    test: str | None = None

    @property
    def judged(self) -> str:
        return self.test or self.target


@dataclass(frozen=True, kw_only=True)
class DomainsOptions(Options):
    """The options of every study of adaptation."""

    method: Annotated[tuple[str, ...], Flag(help="Method of adaptation; may be repeated.", choices=ADAPTATIONS)] = (
        tuple(ADAPTATIONS)
    )
    loss: Annotated[
        Loss,
        Flag(help="Pair loss of the methods that learn from pairs.", read=parse_loss, metavar=f"[{'|'.join(Loss)}]"),
    ] = PairOptions.loss
    steps: Annotated[int, Flag(help="Number of batches for every method.", min=1)] = AdaptConfig.steps
    source_batch: Annotated[int, Flag(help="Images of the source in a batch.", min=2)] = AdaptConfig.source_batch
    target_batch: Annotated[int, Flag(help="Images of the target in a batch.", min=2)] = AdaptConfig.target_batch
    seeds: Annotated[int, Flag(help="Number of trainings of each method, with consecutive seeds.", min=1)] = 1
    precision: Precise = Precision.FP32
    oracle: Annotated[
        bool,
        Flag(
            name="oracle",
            help="Also show the accuracy of the best snapshot, chosen by the target's labels.",
        ),
    ] = False

    def shared(self, config: AdaptConfig) -> AdaptConfig:
        """Return `config` with the options that all methods share."""
        return replace(
            config, steps=self.steps, source_batch=self.source_batch, target_batch=self.target_batch,
            precision=self.precision, snapshots=self.oracle, options=PairOptions(loss=self.loss),
        )  # fmt: skip


def compare(
    name: str, task: Task, options: DomainsOptions, config: AdaptConfig, pairs: Path, context: Context
) -> tuple[list[Row], list[str]]:
    """Adapt by each method and seed; return the scores of each, and the weights that each network started from.

    `config` holds everything except the method and the sets. Methods that do not learn from the pairs only report their
    agreement with them.
    """
    rows, weights = [], []
    for method in options.method:
        learns_pairs = ADAPTATIONS[method].pairs
        settings = replace(
            config, source=task.source, target=task.target, method=method, pairs=str(pairs),
            options=config.options if learns_pairs else None,
        )  # fmt: skip
        for seed in range(context.seed, context.seed + options.seeds):
            scores, start = adapt_and_score(task, settings, runs.subfolder(context, f"{method}-seed{seed}", seed))
            key = {"set": name, "method": method, "loss": options.loss if learns_pairs else "", "seed": seed}
            rows += [row for subset, values in scores.items() for row in rows_of(values, subset=subset, **key)]
            weights.append(start)
    # The paper has one loss, whose figures stand beside every loss.
    return fill(rows, PAPERS, loss=""), weights


def adapt_and_score(task: Task, config: AdaptConfig, context: Context) -> tuple[dict[str, dict[str, float]], str]:
    """Adapt by one method; return its scores by subset, `target` and `test`, and the weights it started from."""
    assignments = runs.run_stage(with_options(config), context)
    network, extra = assignments.with_suffix(".safetensors"), runs.extra_of(assignments)
    scores = {"target": {"accuracy": accuracy(assignments, context), **extra["diagnostics"]}}
    if task.test is not None:
        scores["test"] = {"accuracy": assign_and_score(task.test, network, context)}
    if config.snapshots:
        paths = context.workdir.glob(f"{assignments.stem}-*.safetensors")
        snapshots = [path for path in paths if runs.of_one_run(path, network)]
        best = max(assign_and_score(task.judged, snapshot, context) for snapshot in snapshots)
        scores.setdefault("test" if task.test else "target", {})[ORACLE] = best
    return scores, str(extra["weights"])


def assign_and_score(dataset: str, network: Path, context: Context) -> float:
    """Return the accuracy of a network on a set."""
    return accuracy(runs.run_stage(AssignConfig(dataset=dataset, model=network.name), context), context)


def accuracy(assignments: Path, context: Context) -> float:
    [row] = where(runs.scores(context, assignments.name, set=""), metric="accuracy", subset="mean")
    return row.value


def titled(row: Row) -> str:
    return ADAPTATIONS[row.method].title


def signs(rows: Rows) -> list[Part]:
    """Return the table of the label-free diagnostics of each method."""
    return [
        Heading("Signs that need no label"),
        "Entropy of the predictions on the target (0 is certain), balance of the classes (1 is even), and agreement "
        "with the pairs of G (1 is full, 0.5 is chance).",
        pivot(
            where(rows, metric=list(SIGNS)), {"task": "set", "method": titled}, [(sign, mean(sign)) for sign in SIGNS]
        ),
    ]


def oracle(rows: Rows) -> list[Part]:
    """Return the table of the accuracies with `--oracle`; nothing without it."""
    best = where(rows, metric=ORACLE)
    if not best:
        return []
    labels: dict[str, Label] = {"task": "set", "method": lambda row: f"{titled(row)}, oracle"}
    return [
        Heading("Oracle: the best snapshot, chosen by the labels of the target"),
        "**Not a result**: no user has these labels. This is the best accuracy of all snapshots, on the images that "
        "choose it.",
        pivot(best, labels, [("best", mean())]),
    ]


def budget(options: DomainsOptions, config: AdaptConfig) -> list[Part]:
    values = {**vars(config), "loss": options.loss}
    lines = [[name.replace("_", " "), str(values[name])] for name in SHARED if values[name] is not None]
    return [
        Heading("Trained with"),
        "All methods have the same settings.",
        Table(["setting", "value"], [*lines, ["seeds", str(options.seeds)]]),
    ]
