"""clusterkit pretrain"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, DropEvery, Precise, Resume, with_common
from clusterkit.config import Backbone, Optimizer, PretrainConfig

EXAMPLE = "Example: clusterkit pretrain cifar10_train@0-4 --backbone vgg8"


def register(app: typer.Typer) -> None:
    app.command("pretrain", epilog=EXAMPLE)(with_common(pretrain, shared=lambda values: True))


def pretrain(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="A labelled set: NAME[/SUBSET][@CLASSES].")],
    backbone: Annotated[Backbone, typer.Option(help="The network under the classifier.")] = PretrainConfig.backbone,
    size: Annotated[
        int | None, typer.Option(min=8, help="Side of the images in pixels.", show_default="the set's")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the set.")] = PretrainConfig.epochs,
    batch_size: Annotated[int, typer.Option(min=2, help="Images in a batch.")] = PretrainConfig.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0, help="At its height.")] = PretrainConfig.learning_rate,
    optimizer: Annotated[Optimizer, typer.Option(help="Adam, or sgd with momentum.")] = PretrainConfig.optimizer,
    drop_every: DropEvery = None,
    precision: Precise = PretrainConfig.precision,
    resume: Resume = False,
) -> None:
    """Train a classifier of a labelled set; write pretrained.safetensors, from which train-g and cluster can start."""
    from clusterkit.stages import pretrain as stage

    config = PretrainConfig(
        dataset=dataset,
        backbone=backbone,
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        drop_every=drop_every,
        precision=precision,
    )
    done = stage.run(config, common.context)
    console.result([str(done.artifact)], {"artifact": str(done.artifact), "classes": done.classes}, common.as_json)
