"""clusterkit train-critic"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import NETWORK, TRAINING, Common, Resume, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import Recipe, TrainCriticConfig
from clusterkit.settings import Graph

EXAMPLE = "Example: clusterkit train-critic blobs_bg"


def register(app: typer.Typer) -> None:
    app.command("train-critic", epilog=EXAMPLE)(with_common(train_critic, more=reading_flags(labels=True)))


def train_critic(
    common: Common,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET...",
            help="One or more labelled sets: NAME[/SUBSET][@CLASSES]. They may have items of different forms.",
        ),
    ],
    # Typer would show the type of the argument as a list of Python's.
    others: Annotated[list[str] | None, typer.Argument(metavar="DATASET", hidden=True)] = None,
    recipe: Annotated[
        Recipe,
        typer.Option(
            help="best, or paper: the critic as the paper prints it, whose fakes are the clusterings that the search "
            "finds."
        ),
    ] = TrainCriticConfig.recipe,
    graph: Annotated[
        Graph | None,
        typer.Option(
            rich_help_panel=NETWORK,
            help="What joins the items of a cluster: clique joins all, so that only means and sizes of clusters count; "
            "neighbours joins nearest neighbours, so that their shapes count too.",
            show_default="neighbours; clique with --recipe paper",
        ),
    ] = None,
    gradient_penalty: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Weight of the penalty of the critic's gradient. Above 0 it replaces the clipped weights of "
            "--recipe paper.",
            show_default="1; with --recipe paper 0",
        ),
    ] = None,
    few: Annotated[
        bool,
        typer.Option(
            "--few", rich_help_panel=TRAINING, help="Learn from 5 small sets in 1 epoch, instead of from 20 in 10."
        ),
    ] = False,
    resume: Resume = False,
) -> None:
    """Learn to score clusterings from small labelled sets; write critic.safetensors, for cluster --method c2m."""
    from clusterkit.stages import train_critic as stage

    config = TrainCriticConfig(
        dataset=dataset,
        others=tuple(others or ()),
        recipe=recipe,
        graph=graph,
        gradient_penalty=gradient_penalty,
        few=few,
    )
    done = stage.run(config, common.context)
    fields = {"artifact": str(done.artifact), "sets": done.sets}
    console.result([str(done.artifact)], fields, common.as_json)
