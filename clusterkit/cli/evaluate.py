"""clusterkit evaluate"""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.config import BatchNorm, EvaluateConfig
from clusterkit.errors import GateError, UsageError

if TYPE_CHECKING:
    from clusterkit.stages.evaluate import EvaluateResult

EXAMPLE = "Example: clusterkit evaluate --fail-under acc=0.8"

WAYS = list(EvaluateConfig.ways)
NO_GATES: list[str] = []


def register(app: typer.Typer) -> None:
    app.command("evaluate", epilog=EXAMPLE)(with_common(evaluate))


def evaluate(
    common: Common,
    dataset: Annotated[
        str | None, typer.Argument(help="With --g, the labelled set to test it on.", show_default="its target")
    ] = None,
    assignments: Annotated[str, typer.Option(help="The assignments to evaluate.")] = EvaluateConfig.assignments,
    g: Annotated[str | None, typer.Option(help="Evaluate this G instead: its pairs and N-way tests.")] = None,
    bn: Annotated[BatchNorm, typer.Option(help="With --g, whose batch-norm statistics it uses.")] = EvaluateConfig.bn,
    ways: Annotated[list[int], typer.Option(min=2, help="With --g, N of an N-way test; may be repeated.")] = WAYS,
    episodes: Annotated[
        int, typer.Option(min=1, help="With --g, episodes of each N-way test.")
    ] = EvaluateConfig.episodes,
    fail_under: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE",
            help="Exit with 4 if a mean score is lower (not adif: less is better); may be repeated.",
        ),
    ] = NO_GATES,
) -> None:
    """Compare clusters, or a G, with the true labels; write evaluation.json.

    ACC matches clusters to classes one to one; NMI is over the geometric mean of the entropies. Where the outputs are
    classes, as those of adapt, also the accuracy without matching, that of each class, and what was confused.
    """
    from clusterkit.stages import evaluate as stage

    gates = [parse_gate(text) for text in fail_under]
    for name, _ in gates:
        if name in stage.LESS_IS_BETTER:
            raise UsageError(
                f"--fail-under {name}: less is better, so it cannot be too low; gate acc, nmi or ari instead"
            )
    done = stage.run(
        EvaluateConfig(assignments=assignments, g=g, dataset=dataset, bn=bn, ways=tuple(ways), episodes=episodes),
        common.context,
    )
    several = len(done.scores) > 1
    lines = [f"{name}/{title}\t{value:.4f}" for title, part in done.scores.items() for name, value in part.items()]
    means = [f"{name}\t{value:.4f}" for name, value in done.mean.items()]
    fields = {"artifact": str(done.artifact), "dataset": done.dataset, "subsets": done.scores, "mean": done.mean}
    if done.unlabelled:
        fields["unlabelled"] = done.unlabelled
    if done.confusion:
        fields |= {"per_class": done.per_class, "confusion": done.confusion}
    console.result([*(lines if several else []), *means, *by_class(done, several)], fields, common.as_json)
    for name, least in gates:
        if name not in done.mean:
            raise UsageError(f"--fail-under {name}: no such score here; there are {', '.join(done.mean)}")
        if done.mean[name] < least:
            raise GateError(f"--fail-under: {name} is {done.mean[name]:.4f}, below {least}")


def by_class(done: "EvaluateResult", several: bool) -> list[str]:
    """Return the lines of each class: the share of it that is right, and what it was given, by count."""
    lines = []
    for title, rows in done.confusion.items():
        inside = f"{title}/" if several else ""
        lines += [f"accuracy/{inside}{true}\t{share:.4f}" for true, share in done.per_class[title].items()]
        lines += [
            f"confusion/{inside}{true}/{given}\t{count}" for true, row in rows.items() for given, count in row.items()
        ]
    return lines


def parse_gate(text: str) -> tuple[str, float]:
    """Take `acc=0.8` apart."""
    name, sign, value = text.partition("=")
    try:
        least = float(value if sign and name else "")
    except ValueError:
        least = math.nan
    if math.isnan(least):
        raise UsageError(f"--fail-under {text}: write NAME=VALUE, as in acc=0.8")
    return name, least
