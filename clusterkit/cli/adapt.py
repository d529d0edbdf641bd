"""clusterkit adapt"""

from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.adaptation import ADAPTATIONS
from clusterkit.cli.chain import check_names, ensure_pairs
from clusterkit.cli.common import NETWORK, TRAINING, Common, Precise, Resume, Weights, with_common
from clusterkit.cli.options import flags_of, read_options
from clusterkit.cli.reading import reading_flags
from clusterkit.config import PAIRS_FILE, AdaptConfig, Backbone, Optimizer, Variation, parse_backbone
from clusterkit.settings import File

EXAMPLE = "Example: clusterkit adapt usps_train mnist_train --method ccn+"
OPTIONS = {name: method.options for name, method in ADAPTATIONS.items()}


def register(app: typer.Typer) -> None:
    app.command("adapt", epilog=EXAMPLE)(
        with_common(adapt, shared=lambda values: True, more=[*reading_flags(labels=True), *flags_of(OPTIONS)])
    )


def adapt(
    common: Common,
    source: Annotated[str, typer.Argument(help="The labelled set S'.")],
    target: Annotated[str, typer.Argument(help="The unlabelled set T, with the same classes.")],
    method: Annotated[
        str,
        typer.Option(
            metavar=f"[{'|'.join(ADAPTATIONS)}]",
            help="Adaptation method: source-only learns from S' alone; ccn+ also from T's pairs; dann and jan align S' "
            "and T; ccn++ and jan+ccn do both.",
        ),
    ] = AdaptConfig.method,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="Pairs of T. Methods that do not learn pairs only report their agreement with the result.",
            show_default="pairs.h5 for methods that learn pairs",
        ),
    ] = AdaptConfig.pairs,
    backbone: Annotated[
        str,
        typer.Option(
            rich_help_panel=NETWORK,
            metavar=f"[{'|'.join(Backbone)}|timm:NAME|torchvision:NAME]",
            help="Network under the classifier; timm:NAME is a fixed one, joined to others by +.",
        ),
    ] = str(AdaptConfig.backbone),
    weights: Weights = None,
    fine_tune: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NETWORK,
            min=1,
            metavar="BLOCKS",
            help="Also train the last blocks of a fixed backbone.",
            show_default="none",
        ),
    ] = AdaptConfig.fine_tune,
    size: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=NETWORK, min=8, help="Side of the images in pixels.", show_default="the size of the source"
        ),
    ] = AdaptConfig.size,
    pretrained: Annotated[
        bool,
        typer.Option(
            rich_help_panel=NETWORK, help="Start a colour ResNet from ImageNet weights if they are available."
        ),
    ] = AdaptConfig.pretrained,
    steps: Annotated[int, typer.Option(rich_help_panel=TRAINING, min=1, help="Number of batches.")] = AdaptConfig.steps,
    source_batch: Annotated[
        int, typer.Option(rich_help_panel=TRAINING, min=2, help="Images of S' in a batch.")
    ] = AdaptConfig.source_batch,
    target_batch: Annotated[
        int, typer.Option(rich_help_panel=TRAINING, min=2, help="Images of T in a batch.")
    ] = AdaptConfig.target_batch,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=TRAINING, min=0, help="Highest learning rate.")
    ] = AdaptConfig.learning_rate,
    optimizer: Annotated[
        Optimizer, typer.Option(rich_help_panel=TRAINING, help="Adam, or gradient descent with momentum.")
    ] = AdaptConfig.optimizer,
    variation: Annotated[
        Variation,
        typer.Option(
            rich_help_panel=TRAINING,
            help="Augmentation: mild changes images a little; strong also bends characters, or zooms into "
            "photos and changes their light; erased blanks parts of characters.",
        ),
    ] = AdaptConfig.variation,
    precision: Precise = AdaptConfig.precision,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Also write the network after every epoch of at most 100 steps.")
    ] = AdaptConfig.snapshots,
    resume: Resume = False,
    **options: Any,
) -> None:
    """Adapt a classifier of a labelled set to an unlabelled set; write adapted.safetensors and adapted.h5.

    Missing pairs are predicted first, with the g.safetensors of the work folder, if the method learns pairs.
    """
    from clusterkit.stages import adapt as stage

    config = AdaptConfig(
        source=source,
        target=target,
        method=method,
        pairs=pairs,
        backbone=parse_backbone(backbone),
        weights=tuple(weights or ()),
        fine_tune=fine_tune,
        size=size,
        pretrained=pretrained,
        steps=steps,
        source_batch=source_batch,
        target_batch=target_batch,
        learning_rate=learning_rate,
        optimizer=optimizer,
        variation=variation,
        precision=precision,
        snapshots=snapshots,
        options=read_options(OPTIONS, method, options, common.context.given),
    )
    stage.check_flags(config, common.context)
    check_names(source, target)
    learned = PAIRS_FILE if pairs is None else File(pairs)
    warnings = ensure_pairs(learned, target, common.context, needed=ADAPTATIONS[method].pairs)
    done = stage.run(config, common.context)
    files = {"artifact": str(done.artifact), "network": str(done.network), "dataset": done.dataset}
    fields = {**files, "diagnostics": done.diagnostics, "warnings": warnings}
    console.result([str(done.artifact)], fields, common.as_json)
