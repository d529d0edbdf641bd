"""What the studies of adaptation share: every method on one source and target under one budget."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.adaptation import ADAPTATIONS, PairOptions
from clusterkit.cli.reproduce import runs
from clusterkit.config import AdaptConfig, AssignConfig, Context, EvaluateConfig

METHODS = list(ADAPTATIONS)

Methods = Annotated[list[str], typer.Option("--method", metavar=f"[{'|'.join(ADAPTATIONS)}]", help="May be repeated.")]
PairLoss = Annotated[str, typer.Option("--loss", metavar="[kcl|ccl]", help="Pair loss of the methods that have one.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Batches that every method is trained on.")]
SourceBatch = Annotated[int, typer.Option("--source-batch", min=2, help="Source images in a batch.")]
TargetBatch = Annotated[int, typer.Option("--target-batch", min=2, help="Target images in a batch.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How often each training is repeated.")]
Oracle = Annotated[
    bool,
    typer.Option("--oracle", help="Also say what choosing the best hundred steps by the target's labels would give."),
]


@dataclass(frozen=True)
class Task:
    """A labelled source, an unlabelled target of the same classes, and the target's test set, where there is one."""

    source: str
    target: str
    test: str | None = None


def compare(
    task: Task, methods: list[str], config: AdaptConfig, pairs: Path, seeds: int, oracle: bool, context: Context
) -> list[dict[str, Any]]:
    """Adapt by each method and seed; return the scores of each on the target and on its test set.

    Only the method differs: `config` has all else. The methods that do not learn from the pairs only say how well they
    agree with them.
    """
    found = []
    for method in dict.fromkeys(methods):
        for seed in range(context.seed, context.seed + seeds):
            inner = runs.inside(context, f"{method}-seed{seed}", seed)
            options = config.options if ADAPTATIONS[method].pairs else None
            how = replace(
                config, source=task.source, target=task.target, method=method, options=options, pairs=str(pairs)
            )
            found.append({"method": method, "seed": seed, **adapted(task, replace(how, snapshots=oracle), inner)})
    return found


def adapted(task: Task, config: AdaptConfig, context: Context) -> dict[str, Any]:
    """Return what one method reaches, the signs that need no label, and the weights it started from."""
    done = runs.adapt(config, context)
    scores = {"target": runs.scores(context, done.name)["mean"]["accuracy"]}
    network = done.with_suffix(".safetensors")
    if task.test is not None:
        scores["test"] = assigned(task.test, network, context)
    if config.snapshots:
        kept = [path for path in context.workdir.glob(f"{done.stem}-*.safetensors") if runs.of_one_run(path, network)]
        scores["oracle"] = max(assigned(task.test or task.target, snapshot, context) for snapshot in kept)
    return {**scores, **runs.said(done, "diagnostics", "weights")}


def assigned(dataset: str, network: Path, context: Context) -> float:
    """Return the accuracy of a network on a set."""
    made = runs.assign(AssignConfig(dataset=dataset, model=network.name), context)
    return float(runs.scores(context, made.name)["mean"]["accuracy"])


def g_pairs(g: Path, dataset: str, context: Context) -> dict[str, float]:
    """Return precision and recall of G's pairs of a set."""
    from clusterkit.stages import evaluate

    return evaluate.run(EvaluateConfig(g=str(g), dataset=dataset, ways=()), context).mean


def trained(config: AdaptConfig, seeds: int) -> dict[str, Any]:
    """Return what the table says of the budget that all methods share."""
    names = (
        "backbone", "size", "steps", "source_batch", "target_batch", "loss", "optimizer", "learning_rate", "variation",
        "precision",
    )  # fmt: skip
    options = config.options
    assert isinstance(options, PairOptions)
    fields = {name: str(options.loss) if name == "loss" else getattr(config, name) for name in names}
    return {**fields, "seeds": seeds}
