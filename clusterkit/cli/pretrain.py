"""clusterkit pretrain"""

from pathlib import Path
from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import NETWORK, TRAINING, Common, DropEvery, Resume, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import Backbone, Optimizer, Precision, PretrainConfig
from clusterkit.settings import Task

EXAMPLE = "Example: clusterkit pretrain cifar10_train@0-4 --backbone vgg8"


def register(app: typer.Typer) -> None:
    app.command("pretrain", epilog=EXAMPLE)(
        with_common(pretrain, shared=lambda values: True, more=reading_flags(labels=True))
    )


def pretrain(
    common: Common,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="The labelled set: NAME[/SUBSET][@CLASSES]. With --task rotation, one or more sets, labelled or not.",
        ),
    ],
    # Typer would show the type of the argument as a list of Python's.
    others: Annotated[list[str] | None, typer.Argument(metavar="DATASET", hidden=True)] = None,
    task: Annotated[
        Task,
        typer.Option(
            help="What to tell apart: the classes of one set, or how far an image of any set is rotated (by 0, 90, 180 "
            "or 270 degrees), for which no labels are read."
        ),
    ] = PretrainConfig.task,
    backbone: Annotated[
        Backbone, typer.Option(rich_help_panel=NETWORK, help="Network under the classifier.")
    ] = PretrainConfig.backbone,
    size: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NETWORK, min=8, help="Side of the images in pixels.", show_default="the size of the set"
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(rich_help_panel=NETWORK, help="Start from the backbone in this file of pretrain or train-g."),
    ] = None,
    fine_tune: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NETWORK,
            min=1,
            metavar="GROUPS",
            help="Train only the last groups of layers of this backbone, and the classifier on it.",
            show_default="all layers",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(rich_help_panel=TRAINING, min=1, help="Passes over the set.", show_default="30; 10 for vgg-fast"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(rich_help_panel=TRAINING, min=2, help="Images in a batch.", show_default="100; 250 for vgg-fast"),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TRAINING,
            min=0,
            help="Highest learning rate.",
            show_default="0.001; 0.5 for vgg-fast by sgd",
        ),
    ] = None,
    optimizer: Annotated[
        Optimizer | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Adam, or gradient descent with momentum.",
            show_default="adam; sgd for vgg-fast",
        ),
    ] = None,
    drop_every: DropEvery = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Number format of the training: fp32, or the faster tf32 (CUDA only) or bf16.",
            show_default="fp32; bf16 for vgg-fast if the processor multiplies in it",
        ),
    ] = None,
    resume: Resume = False,
) -> None:
    """Train a classifier of classes or rotations; write pretrained.safetensors, a start for train-g and cluster."""
    from clusterkit.stages import pretrain as stage

    config = PretrainConfig(
        dataset=dataset,
        others=tuple(others or ()),
        task=task,
        backbone=backbone,
        size=size,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        drop_every=drop_every,
        init=init,
        fine_tune=fine_tune,
        precision=precision,
    )
    done = stage.run(config, common.context)
    classes = {} if done.classes is None else {"classes": done.classes}
    console.result([str(done.artifact)], {"artifact": str(done.artifact), **classes}, common.as_json)
