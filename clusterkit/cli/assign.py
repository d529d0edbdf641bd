"""clusterkit assign"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.config import AssignConfig

EXAMPLE = "Example: clusterkit assign mnist_test --model adapted.safetensors"


def register(app: typer.Typer) -> None:
    app.command("assign", epilog=EXAMPLE)(with_common(assign))


def assign(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The images to assign: NAME[/SUBSET][@CLASSES].")],
    model: Annotated[
        str,
        typer.Option(
            help="The networks of cluster (ccn.safetensors), adapt (adapted.safetensors) or pretrain "
            "(pretrained.safetensors)."
        ),
    ] = AssignConfig.model,
    subset: Annotated[str | None, typer.Option(help="Which of several networks takes all images.")] = None,
) -> None:
    """Assign other images by a trained network; write assigned.h5, for evaluate --assignments assigned.h5."""
    from clusterkit.stages import assign as stage

    done = stage.run(AssignConfig(dataset=dataset, model=model, subset=subset), common.context)
    console.result([str(done.artifact)], {"artifact": str(done.artifact), "dataset": done.dataset}, common.as_json)
