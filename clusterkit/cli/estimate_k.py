"""clusterkit estimate-k"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.config import EstimateKConfig

EXAMPLE = "Example: clusterkit estimate-k"


def register(app: typer.Typer) -> None:
    app.command("estimate-k", epilog=EXAMPLE)(with_common(estimate_k))


def estimate_k(
    common: Common,
    assignments: Annotated[
        str | None,
        typer.Option(
            help="A clustering with more outputs than categories, for example of cluster --k 100.",
            show_default="assignments.h5; none for pairs of features of a fixed backbone",
        ),
    ] = None,
    pairs: Annotated[str, typer.Option(help="The pairs that the clustering was made from.")] = EstimateKConfig.pairs,
    probe: Annotated[
        str | None,
        typer.Option(
            help="Labelled classes that G has not learned, for the estimate probe.",
            metavar="A@CLASSES",
        ),
    ] = None,
) -> None:
    """Estimate the number of categories without labels; write k.json.

    There are four estimators: dominant clusters, eigengap, average linkage, and linkage of the pairs' consensus. The
    last one is recommended and printed on stdout; stderr and k.json have all of them and their spread. Pairs of
    features of a fixed backbone need no clustering: K is the geometric mean of the numbers of communities, groups of
    close neighbours, in three graphs. --probe adds an estimate by labelled classes that are clustered together with
    the set (DTC); it is not the recommended one.
    """
    from clusterkit.stages import estimate_k as stage

    done = stage.run(EstimateKConfig(assignments=assignments, pairs=pairs, probe=probe), common.context)
    single = len(done.recommended) == 1
    lines = [str(k) if single else f"{title}\t{k}" for title, k in done.recommended.items()]
    fields = {
        "artifact": str(done.artifact),
        "estimator": done.estimator,
        "recommended": done.recommended,
        "estimates": done.estimates,
        "warnings": done.warnings,
    }
    console.result(lines, fields, common.as_json)
