"""clusterkit self-train"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import TRAINING, Common, Precise, Resume, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import SelfTrainConfig

EXAMPLE = "Example: clusterkit self-train omniglot_eval && clusterkit predict-pairs --g self-trained.safetensors"


def register(app: typer.Typer) -> None:
    app.command("self-train", epilog=EXAMPLE)(with_common(self_train, shared=lambda values: True, more=reading_flags()))


def self_train(
    common: Common,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="The unlabelled set T.",
            show_default="the set that belongs to G's training set, as omniglot_eval to omniglot_bg",
        ),
    ] = None,
    g: Annotated[
        str, typer.Option(help="G to start from; its file is not changed. characters: the one of the program.")
    ] = SelfTrainConfig.g,
    rounds: Annotated[
        int, typer.Option(rich_help_panel=TRAINING, min=1, help="Number of rounds; each groups T again.")
    ] = SelfTrainConfig.rounds,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=TRAINING, min=0, help="Highest learning rate of Adam.")
    ] = SelfTrainConfig.learning_rate,
    precision: Precise = SelfTrainConfig.precision,
    resume: Resume = False,
) -> None:
    """Train G further on an unlabelled set, without its labels; write self-trained.safetensors.

    Each round groups the images by G's predicted pairs, and G learns these groups as classes, together with its
    labelled training set. To use the result: clusterkit predict-pairs --g self-trained.safetensors
    """
    from clusterkit.stages import self_train as stage

    check_names(dataset)
    done = stage.run(
        SelfTrainConfig(dataset=dataset, g=g, rounds=rounds, learning_rate=learning_rate, precision=precision),
        common.context,
    )
    fields = {"artifact": str(done.artifact), "dataset": done.dataset, "warnings": done.warnings}
    console.result([str(done.artifact)], fields, common.as_json)
