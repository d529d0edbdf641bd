"""clusterkit train-g"""

from pathlib import Path
from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.config import Backbone, TrainGConfig, Variation

EXAMPLE = "Example: clusterkit train-g omniglot_bg"


def register(app: typer.Typer) -> None:
    app.command("train-g", epilog=EXAMPLE)(with_common(train_g, shared=lambda values: True))


def train_g(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The labelled set A: NAME[/SUBSET][@CLASSES].")],
    backbone: Annotated[Backbone, typer.Option(help="The network under the pair head.")] = TrainGConfig.backbone,
    hidden: Annotated[int, typer.Option(min=1, help="Hidden units of the pair head.")] = TrainGConfig.hidden,
    members: Annotated[
        int, typer.Option(min=1, help="Networks in G, trained apart; their logits are averaged.")
    ] = TrainGConfig.members,
    size: Annotated[
        int | None, typer.Option(min=8, help="Side of the images in pixels.", show_default="the set's")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the set.")] = TrainGConfig.epochs,
    classes_per_batch: Annotated[int, typer.Option(min=2, help="Classes in a batch.")] = TrainGConfig.classes_per_batch,
    images_per_class: Annotated[
        int, typer.Option(min=2, help="Images of each class in a batch.")
    ] = TrainGConfig.images_per_class,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of Adam, at its height.")] = TrainGConfig.learning_rate,
    variation: Annotated[
        Variation,
        typer.Option(
            help="How much characters are varied; strong also bends them, and turns those of one alphabet together: "
            "for 40 epochs and more; erased blanks parts of them."
        ),
    ] = TrainGConfig.variation,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Start a ResNet from ImageNet weights.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="A file of pretrain or train-g whose backbone G starts from.")
    ] = None,
    precision: Precise = TrainGConfig.precision,
    resume: Resume = False,
) -> None:
    """Learn from a labelled set whether two images show the same category; write g.safetensors."""
    from clusterkit.stages import train_g as stage

    config = TrainGConfig(
        dataset=dataset,
        backbone=backbone,
        hidden=hidden,
        members=members,
        size=size,
        epochs=epochs,
        classes_per_batch=classes_per_batch,
        images_per_class=images_per_class,
        learning_rate=learning_rate,
        variation=variation,
        pretrained=pretrained,
        init=init,
        precision=precision,
    )
    done = stage.run(config, common.context)
    for name, value in done.held_out.items():
        console.log.info("%s on held-out classes: %.3f", name.replace("_", " "), value)
    console.result([str(done.artifact)], {"artifact": str(done.artifact), "held_out": done.held_out}, common.as_json)
