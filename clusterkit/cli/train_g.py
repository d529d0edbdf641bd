"""clusterkit train-g"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import NETWORK, TRAINING, Backbones, Common, Precise, Recipes, Resume, Weights, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import Head, TrainGConfig, Variation, parse_backbone
from clusterkit.settings import LEAST, MOST_SIZE

EXAMPLE = "Example: clusterkit train-g omniglot_bg"


def register(app: typer.Typer) -> None:
    app.command("train-g", epilog=EXAMPLE)(
        with_common(train_g, shared=lambda values: True, more=reading_flags(labels=True))
    )


def train_g(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The labelled set A: NAME[/SUBSET][@CLASSES].")],
    recipe: Recipes = TrainGConfig.recipe,
    backbone: Backbones = None,
    weights: Weights = None,
    head: Annotated[
        Head | None,
        typer.Option(
            rich_help_panel=NETWORK,
            help="metric corrects fixed features or vectors, as far as that helps classes that were kept out; pair "
            "trains a pair head on the features.",
            show_default="metric on a fixed backbone, else pair",
        ),
    ] = None,
    hidden: Annotated[
        int, typer.Option(rich_help_panel=NETWORK, min=1, help="Hidden units of the pair head.")
    ] = TrainGConfig.hidden,
    members: Annotated[
        int, typer.Option(rich_help_panel=NETWORK, min=1, help="Number of networks in G; their logits are averaged.")
    ] = TrainGConfig.members,
    size: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NETWORK,
            min=LEAST["size"],
            max=MOST_SIZE,
            help="Side of the images in pixels.",
            show_default="64 for characters, else that of the set or of the fixed backbone",
        ),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", rich_help_panel=NETWORK, help="Start a ResNet from ImageNet weights.")
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(rich_help_panel=NETWORK, help="Start from the backbone in this file of pretrain or train-g."),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            rich_help_panel=NETWORK,
            help="Read no labels: G is the similarity of the fixed features themselves.",
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=TRAINING,
            min=1,
            help="Passes over the set. Fewer are quicker; for characters, 100 gain about one point of accuracy.",
            show_default="60 for characters, else 16",
        ),
    ] = None,
    classes_per_batch: Annotated[
        int, typer.Option(rich_help_panel=TRAINING, min=2, help="Classes in a batch.")
    ] = TrainGConfig.classes_per_batch,
    images_per_class: Annotated[
        int, typer.Option(rich_help_panel=TRAINING, min=2, help="Images of each class in a batch.")
    ] = TrainGConfig.images_per_class,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=TRAINING,
            min=0,
            help="Highest learning rate of Adam.",
            show_default="0.003 for characters, else 0.001",
        ),
    ] = None,
    variation: Annotated[
        Variation | None,
        typer.Option(
            rich_help_panel=TRAINING,
            show_default="strong for characters, else mild",
            help="Augmentation: mild changes images a little; strong also bends characters and turns an alphabet as a "
            "whole (use it for 40 epochs or more), or zooms into photos and changes their light; erased blanks parts "
            "of characters.",
        ),
    ] = None,
    precision: Precise = TrainGConfig.precision,
    resume: Resume = False,
) -> None:
    """Train G, which predicts whether two images show the same category, on a labelled set; write g.safetensors.

    For photos, a ready-made network computes features, and G only corrects how they are compared.
    """
    from clusterkit.stages import train_g as stage

    config = TrainGConfig(
        dataset=dataset,
        recipe=recipe,
        backbone=None if backbone is None else parse_backbone(backbone),
        weights=tuple(weights or ()),
        head=head,
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
        unlabelled=unlabelled,
        precision=precision,
    )
    done = stage.run(config, common.context)
    for name, value in done.held_out.items():
        console.log.info("%s on held-out classes: %.3f", name.replace("_", " "), value)
    fields = {"artifact": str(done.artifact), "held_out": done.held_out, "warnings": done.warnings}
    if done.correction is not None:
        console.log.info("%s", worth_of(done.correction, dataset, done.unread))
        fields["correction"] = done.correction
    console.result([str(done.artifact)], fields, common.as_json)


def worth_of(correction: Mapping[str, Any], like: str, unread: str | None = None) -> str:
    """Return what the correction of the features is worth on classes that were kept out of its training.

    `unread` says why no labels were read, None if they were.
    """
    forms = {(one["strength"], one["share"]): one for one in correction["worth"]}
    if unread is not None:
        return f"no labels of {like} were used ({unread}), so the features decide alone"
    if not forms:
        return (
            f"no labels of {like} were used (it has fewer than three classes of two items or more), so the features "
            "decide alone"
        )
    chosen = forms[correction["strength"], correction["share"]]
    if not chosen["strength"]:
        return f"nothing that could be learned from {like} helps on its kept-out classes, so the features decide alone"
    if not chosen["share"]:
        return (
            f"the labels of {like} do not help on its kept-out classes, so the features of the items to sort and the "
            f"neighbourhoods among them decide alone: accuracy {chosen['acc']:.3f} there, {forms[0, 0]['acc']:.3f} by "
            "the features as they are"
        )
    without = max(one["acc"] for (_, share), one in forms.items() if not share)
    gain = chosen["acc"] - without
    verdict = "" if gain > chosen["acc_error"] else ", which may be chance" if gain > 0 else ", so it does not help"
    return (
        f"accuracy on kept-out classes of {like}: {chosen['acc']:.3f} with what was learned from the others, "
        f"{without:.3f} without{verdict}"
    )
