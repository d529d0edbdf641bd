"""clusterkit evaluate"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import Common, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import BatchNorm, EvaluateConfig
from clusterkit.errors import GateError, UsageError

if TYPE_CHECKING:
    from clusterkit.stages.evaluate import EvaluateResult

EXAMPLE = "Example: clusterkit evaluate --fail-under acc=0.8"

ONLY_G = "Options of --g"
WAYS = list(EvaluateConfig.ways)
NO_GATES: list[str] = []
ROUNDING = 1e-9
"""How far below its gate a score may be: that of a perfect clustering misses 1 by the rounding of logarithms."""


def register(app: typer.Typer) -> None:
    app.command("evaluate", epilog=EXAMPLE)(with_common(evaluate, more=reading_flags(labels=True)))


def evaluate(
    common: Common,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="With --g, the labelled set to evaluate G on.",
            show_default="the set that belongs to G's training set, as omniglot_eval to omniglot_bg",
        ),
    ] = None,
    assignments: Annotated[str, typer.Option(help="The assignments to evaluate.")] = EvaluateConfig.assignments,
    g: Annotated[str | None, typer.Option(help="Evaluate the pairs and N-way tests of this G instead.")] = None,
    critic: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also score the clusters by this critic of train-critic, and by two indices that need no labels "
            "either; without labels there are only these scores.",
        ),
    ] = None,
    bn: Annotated[
        BatchNorm,
        typer.Option(
            rich_help_panel=ONLY_G, help="Batch-norm statistics of G: those of T (target), or those of A (source)."
        ),
    ] = EvaluateConfig.bn,
    ways: Annotated[
        list[int],
        typer.Option(
            rich_help_panel=ONLY_G, min=2, metavar="N", help="N of an N-way test; repeat the flag for several."
        ),
    ] = WAYS,
    episodes: Annotated[
        int, typer.Option(rich_help_panel=ONLY_G, min=1, help="Episodes of each N-way test.")
    ] = EvaluateConfig.episodes,
    fail_under: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE",
            help="Exit with 4 if the mean of this score is lower; repeat the flag for several scores. adif is refused.",
        ),
    ] = NO_GATES,
) -> None:
    """Compare clusters, or a G, with the true labels; write evaluation.json.

    ACC matches clusters to classes one to one, and NMI divides by the geometric mean of the entropies. If the outputs
    are classes, as those of adapt, there are also the accuracy without matching, the accuracy of each class, and the
    confusions.
    """
    from clusterkit.stages import evaluate as stage

    check_names(dataset)
    gates = [parse_gate(text) for text in fail_under]
    for name, _ in gates:
        if name in stage.LESS_IS_BETTER:
            raise UsageError(
                f"--fail-under {name}: a lower value is better, so it cannot be too low; use acc, nmi or ari instead"
            )
    done = stage.run(
        EvaluateConfig(
            assignments=assignments, g=g, critic=critic, dataset=dataset, bn=bn, ways=tuple(ways), episodes=episodes
        ),
        common.context,
    )
    for name, _ in gates:
        if name not in done.mean:
            raise UsageError(f"--fail-under {name}: no such score here; there are {', '.join(done.mean)}")
    several = len(done.scores) > 1
    lines = [f"{name}/{title}\t{value:.4f}" for title, part in done.scores.items() for name, value in part.items()]
    means = [f"{name}\t{value:.4f}" for name, value in done.mean.items()]
    fields = {"artifact": str(done.artifact), "dataset": done.dataset, "subsets": done.scores, "mean": done.mean}
    if done.unlabelled:
        fields["unlabelled"] = done.unlabelled
    if done.confusion:
        fields |= {"per_class": done.per_class, "confusion": done.confusion}
    console.result([*(lines if several else []), *means, *by_class(done, several)], fields, common.as_json)
    check_gates(done.mean, gates)


def check_gates(scores: Mapping[str, float], gates: Sequence[tuple[str, float]]) -> None:
    """Raise GateError for the first score that is below its least value."""
    for name, least in gates:
        if scores[name] < least - ROUNDING:
            raise GateError(f"--fail-under: {name} is {scores[name]:.4f}, below {least}")


def by_class(done: "EvaluateResult", several: bool) -> list[str]:
    """Return the lines of each class: its accuracy, and how many of its items were assigned to which class."""
    lines = []
    for title, rows in done.confusion.items():
        prefix = f"{title}/" if several else ""
        lines += [f"accuracy/{prefix}{true}\t{share:.4f}" for true, share in done.per_class[title].items()]
        lines += [
            f"confusion/{prefix}{true}/{other}\t{count}" for true, row in rows.items() for other, count in row.items()
        ]
    return lines


def parse_gate(text: str) -> tuple[str, float]:
    """Split `acc=0.8` into name and value. Raises UsageError for other forms."""
    name, sign, value = text.partition("=")
    try:
        least = float(value if sign and name else "")
    except ValueError:
        least = math.nan
    if math.isnan(least):
        raise UsageError(f"--fail-under {text}: write NAME=VALUE, as in acc=0.8")
    return name, least
