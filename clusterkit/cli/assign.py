"""clusterkit assign"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import AssignConfig

EXAMPLE = "Example: clusterkit assign mnist_test --model adapted.safetensors"


def register(app: typer.Typer) -> None:
    app.command("assign", epilog=EXAMPLE)(with_common(assign, more=reading_flags()))


def assign(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The images to assign: NAME[/SUBSET][@CLASSES].")],
    model: Annotated[
        str,
        typer.Option(
            help="A file of networks: ccn.safetensors (of cluster), adapted.safetensors (of adapt) or "
            "pretrained.safetensors (of pretrain)."
        ),
    ] = AssignConfig.model,
    subset: Annotated[
        str | None,
        typer.Option(
            help="Assign all images by the network of this subset.", show_default="the network of each image's subset"
        ),
    ] = None,
) -> None:
    """Assign other images to the clusters or classes of a trained network; write assigned.h5.

    To score the result: clusterkit evaluate --assignments assigned.h5
    """
    from clusterkit.stages import assign as stage

    done = stage.run(AssignConfig(dataset=dataset, model=model, subset=subset), common.context)
    console.result([str(done.artifact)], {"artifact": str(done.artifact), "dataset": done.dataset}, common.as_json)
