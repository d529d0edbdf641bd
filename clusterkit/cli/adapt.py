"""clusterkit adapt"""

from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.adaptation import ADAPTATIONS
from clusterkit.cli.chain import ensure_pairs
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.options import flags_of, read_options
from clusterkit.config import PAIRS_FILE, AdaptConfig, Backbone, Optimizer, Variation
from clusterkit.settings import File

EXAMPLE = "Example: clusterkit adapt usps_train mnist_train --method ccn+"
OPTIONS = {name: method.options for name, method in ADAPTATIONS.items()}


def register(app: typer.Typer) -> None:
    app.command("adapt", epilog=EXAMPLE)(with_common(adapt, shared=lambda values: True, more=flags_of(OPTIONS)))


def adapt(
    common: Common,
    source: Annotated[str, typer.Argument(help="The labelled set S'.")],
    target: Annotated[str, typer.Argument(help="The unlabelled set T of the same classes.")],
    method: Annotated[
        str,
        typer.Option(
            metavar=f"[{'|'.join(ADAPTATIONS)}]",
            help="What to learn beside the source's labels: nothing, the target's pairs (ccn+), or what aligns the "
            "domains.",
        ),
    ] = AdaptConfig.method,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="The pairs of the target; methods that do not learn from them only say how well they agree with them.",
            show_default="pairs.h5 where they are learned from",
        ),
    ] = AdaptConfig.pairs,
    backbone: Annotated[Backbone, typer.Option(help="The network under the classifier.")] = AdaptConfig.backbone,
    size: Annotated[
        int | None, typer.Option(min=1, help="Image size of both sets.", show_default="that of the source")
    ] = AdaptConfig.size,
    pretrained: Annotated[
        bool, typer.Option(help="Start a colour ResNet from ImageNet weights, where they can be had.")
    ] = AdaptConfig.pretrained,
    steps: Annotated[int, typer.Option(min=1, help="Batches to train on.")] = AdaptConfig.steps,
    source_batch: Annotated[int, typer.Option(min=2, help="Source images in a batch.")] = AdaptConfig.source_batch,
    target_batch: Annotated[int, typer.Option(min=2, help="Target images in a batch.")] = AdaptConfig.target_batch,
    learning_rate: Annotated[float, typer.Option(min=0, help="At its height.")] = AdaptConfig.learning_rate,
    optimizer: Annotated[Optimizer, typer.Option(help="How the weights follow the gradient.")] = AdaptConfig.optimizer,
    variation: Annotated[
        Variation, typer.Option(help="How much images are varied in training.")
    ] = AdaptConfig.variation,
    precision: Precise = AdaptConfig.precision,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Also keep the network after every epoch of a hundred steps.")
    ] = AdaptConfig.snapshots,
    resume: Resume = False,
    **options: Any,
) -> None:
    """Carry a classifier from a labelled set to an unlabelled one; write adapted.safetensors and adapted.h5.

    Missing pairs are predicted first, from the g.safetensors of the work folder.
    """
    from clusterkit.stages import adapt as stage

    config = AdaptConfig(
        source=source,
        target=target,
        method=method,
        pairs=pairs,
        backbone=backbone,
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
    learned = PAIRS_FILE if pairs is None else File(pairs)
    ensure_pairs(learned, target, common.context, needed=ADAPTATIONS[method].pairs)
    done = stage.run(config, common.context)
    files = {"artifact": str(done.artifact), "network": str(done.network), "dataset": done.dataset}
    console.result([str(done.artifact)], {**files, "diagnostics": done.diagnostics}, common.as_json)
