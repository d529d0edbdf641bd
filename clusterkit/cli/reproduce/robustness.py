"""clusterkit reproduce robustness"""

from dataclasses import asdict, replace
from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.reproduce import runs
from clusterkit.config import RobustnessConfig

EXAMPLE = "Example: clusterkit reproduce robustness"

SHORT = RobustnessConfig()
FULL = replace(SHORT, images=None, steps=11, epochs=15, restarts=5)
"""As published."""


def register(group: typer.Typer) -> None:
    group.command("robustness", epilog=EXAMPLE)(with_common(robustness))


def robustness(
    common: Common,
    steps: Annotated[
        int | None, typer.Option(min=2, help="Values of each recall, from 0 to 1.", show_default="6, or 11 with --full")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="As published: all images, 15 epochs, the best of 5 restarts. Takes days.")
    ] = False,
    resume: Resume = False,
) -> None:
    """How wrong pairs may be before clusters fail: L2C, appendix D, figure 8.

    A supervised study: the pairs are the true ones of mnist_train with simulated errors, and of several restarts the
    best is chosen by the labels too. Clusters with KCL and CCL, 10 and 100 outputs and all or a tenth of the pairs, for
    each recall of similar and of dissimilar pairs, and writes robustness.csv and robustness.png in the folder
    robustness of --workdir.
    """
    from clusterkit.report.heat_maps import markdown, summary
    from clusterkit.stages import robustness as stage

    config = FULL if full else SHORT
    if steps is not None:
        config = replace(config, steps=steps)
    done = stage.run(config, runs.inside(common.context, "robustness"))
    rows = summary(stage.maps(done.runs))
    failed = sum(run.failed for run in done.runs)
    fields = {
        "artifact": str(done.artifact),
        "picture": str(done.picture),
        "uses_target_labels": "pairs with simulated errors; choice of restarts",
        "failed": failed,
        "maps": rows,
        "runs": [asdict(run) for run in done.runs],
    }
    text = markdown(rows, config.restarts, failed, done.picture.name)
    console.result(text.splitlines(), fields, common.as_json)
