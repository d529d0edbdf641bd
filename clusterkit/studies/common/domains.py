"""What the studies of adaptation share: every method on one source and target under one budget, and their tables."""

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
    "backbone", "size", "steps", "source_batch", "target_batch", "loss", "optimizer", "learning_rate", "variation",
    "precision",
)  # fmt: skip
"""What the table says of the budget that all methods share."""


@dataclass(frozen=True)
class Task:
    """A labelled source, an unlabelled target of the same classes, and the target's test set, where there is one."""

    source: str
    target: str
    test: str | None = None

    @property
    def judged(self) -> str:
        return self.test or self.target


@dataclass(frozen=True, kw_only=True)
class DomainsOptions(Options):
    """The options of both studies."""

    method: Annotated[tuple[str, ...], Flag(help="Method of adaptation; may be repeated.", choices=ADAPTATIONS)] = (
        tuple(ADAPTATIONS)
    )
    loss: Annotated[
        Loss, Flag(help="Pair loss of the methods that have one.", read=parse_loss, metavar=f"[{'|'.join(Loss)}]")
    ] = PairOptions.loss
    steps: Annotated[int, Flag(help="Batches that every method is trained on.", min=1)] = AdaptConfig.steps
    source_batch: Annotated[int, Flag(help="Source images in a batch.", min=2)] = AdaptConfig.source_batch
    target_batch: Annotated[int, Flag(help="Target images in a batch.", min=2)] = AdaptConfig.target_batch
    seeds: Annotated[int, Flag(help="How often each training is repeated.", min=1)] = 1
    precision: Precise = Precision.FP32
    oracle: Annotated[
        bool,
        Flag(name="oracle", help="Also show what the best hundred steps, chosen by the target's labels, would reach."),
    ] = False

    def shared(self, config: AdaptConfig) -> AdaptConfig:
        """Return settings with those that all methods share."""
        return replace(
            config, steps=self.steps, source_batch=self.source_batch, target_batch=self.target_batch,
            precision=self.precision, snapshots=self.oracle, options=PairOptions(loss=self.loss),
        )  # fmt: skip


def compare(
    name: str, task: Task, options: DomainsOptions, config: AdaptConfig, pairs: Path, context: Context
) -> tuple[list[Row], list[str]]:
    """Adapt by each method and seed; return the scores of each, and the weights that the networks started from.

    Only the method differs: `config` has all else. The methods that do not learn from the pairs only say how well they
    agree with them.
    """
    rows, weights = [], []
    for method in options.method:
        learned = ADAPTATIONS[method].pairs
        how = replace(
            config, source=task.source, target=task.target, method=method, pairs=str(pairs),
            options=config.options if learned else None,
        )  # fmt: skip
        for seed in range(context.seed, context.seed + options.seeds):
            reached, start = adapted(task, how, runs.inside(context, f"{method}-seed{seed}", seed))
            own = {"set": name, "method": method, "loss": options.loss if learned else "", "seed": seed}
            rows += [row for subset, scores in reached.items() for row in rows_of(scores, subset=subset, **own)]
            weights.append(start)
    # The paper has one loss.
    return fill(rows, PAPERS, loss=""), weights


def adapted(task: Task, config: AdaptConfig, context: Context) -> tuple[dict[str, dict[str, float]], str]:
    """Return what one method reaches on the target and its test set, the signs that need no label, and its weights."""
    done = runs.made(with_options(config), context)
    network, header = done.with_suffix(".safetensors"), runs.extra_of(done)
    scores = {"target": {"accuracy": accuracy(done, context), **header["diagnostics"]}}
    if task.test is not None:
        scores["test"] = {"accuracy": assigned(task.test, network, context)}
    if config.snapshots:
        kept = [path for path in context.workdir.glob(f"{done.stem}-*.safetensors") if runs.of_one_run(path, network)]
        best = max(assigned(task.judged, snapshot, context) for snapshot in kept)
        scores.setdefault("test" if task.test else "target", {})[ORACLE] = best
    return scores, str(header["weights"])


def assigned(dataset: str, network: Path, context: Context) -> float:
    """Return the accuracy of a network on a set."""
    return accuracy(runs.made(AssignConfig(dataset=dataset, model=network.name), context), context)


def accuracy(assignments: Path, context: Context) -> float:
    [row] = where(runs.scores(context, assignments.name, set=""), metric="accuracy", subset="mean")
    return row.value


def titled(row: Row) -> str:
    return ADAPTATIONS[row.method].title


def signs(rows: Rows) -> list[Part]:
    """Return the table of what can be said of each method without a label."""
    return [
        Heading("Signs that need no label"),
        "Entropy of the predictions on the target (0 is sure), evenness of the classes (1 is even), agreement with G's "
        "pairs (1 is full, 0.5 chance).",
        pivot(
            where(rows, metric=list(SIGNS)), {"task": "set", "method": titled}, [(sign, mean(sign)) for sign in SIGNS]
        ),
    ]


def oracle(rows: Rows) -> list[Part]:
    """Return the table of what the target's labels could have chosen, where it was asked for."""
    best = where(rows, metric=ORACLE)
    if not best:
        return []
    labels: dict[str, Label] = {"task": "set", "method": lambda row: f"{titled(row)}, oracle"}
    return [
        Heading("Oracle: the best hundred steps, chosen by the labels of the target"),
        "**Not a result**: no user has these labels. The accuracy of the best of all kept networks on the same images "
        "it is chosen by.",
        pivot(best, labels, [("best", mean())]),
    ]


def budget(options: DomainsOptions, config: AdaptConfig) -> list[Part]:
    values = {**vars(config), "loss": options.loss}
    lines = [[name.replace("_", " "), str(values[name])] for name in SHARED if values[name] is not None]
    return [
        Heading("Trained with"),
        "Every method alike.",
        Table(["what", "value"], [*lines, ["seeds", str(options.seeds)]]),
    ]
