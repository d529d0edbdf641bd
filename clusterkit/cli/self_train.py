"""clusterkit self-train"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.config import SelfTrainConfig

EXAMPLE = "Example: clusterkit self-train omniglot_eval && clusterkit predict-pairs --g self-trained.safetensors"


def register(app: typer.Typer) -> None:
    app.command("self-train", epilog=EXAMPLE)(with_common(self_train, shared=lambda values: True))


def self_train(
    common: Common,
    dataset: Annotated[
        str | None, typer.Argument(help="The unlabelled set T.", show_default="the target of G's set")
    ] = None,
    g: Annotated[str, typer.Option(help="The G to start from; it stays as it is.")] = SelfTrainConfig.g,
    rounds: Annotated[int, typer.Option(min=1, help="How often T is grouped anew.")] = SelfTrainConfig.rounds,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of Adam, at its height.")] = (
        SelfTrainConfig.learning_rate
    ),
    precision: Precise = SelfTrainConfig.precision,
    resume: Resume = False,
) -> None:
    """Let G go on learning on an unlabelled set, from the groups its own pairs make; write self-trained.safetensors.

    In each round the images are grouped by what G says of them, and G learns the groups, beside the labelled set it
    was trained on. No label of T is used. Then: clusterkit predict-pairs --g self-trained.safetensors
    """
    from clusterkit.stages import self_train as stage

    done = stage.run(
        SelfTrainConfig(dataset=dataset, g=g, rounds=rounds, learning_rate=learning_rate, precision=precision),
        common.context,
    )
    console.result([str(done.artifact)], {"artifact": str(done.artifact), "dataset": done.dataset}, common.as_json)
