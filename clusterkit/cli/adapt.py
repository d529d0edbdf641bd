"""clusterkit adapt"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.chain import ensure_pairs
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.config import AdaptConfig, AdaptMethod, Backbone, Loss

EXAMPLE = "Example: clusterkit adapt usps_train mnist_train --method ccn+"


def register(app: typer.Typer) -> None:
    app.command("adapt", epilog=EXAMPLE)(with_common(adapt, shared=lambda values: True))


def adapt(
    common: Common,
    source: Annotated[str, typer.Argument(help="The labelled set S'.")],
    target: Annotated[str, typer.Argument(help="The unlabelled set T of the same classes.")],
    method: Annotated[
        AdaptMethod, typer.Option(help="source-only, or ccn+: also the target's pairs.")
    ] = AdaptConfig.method,
    loss: Annotated[
        str, typer.Option(metavar="[kcl|ccl]", help="Pair loss on the target (mcl is ccl).")
    ] = AdaptConfig.loss,
    sigma: Annotated[float, typer.Option(min=0, help="Margin of kcl.")] = AdaptConfig.sigma,
    pairs: Annotated[str, typer.Option(help="The pairs of the target.")] = AdaptConfig.pairs,
    backbone: Annotated[Backbone, typer.Option(help="The network under the classifier.")] = AdaptConfig.backbone,
    steps: Annotated[int, typer.Option(min=1, help="Batches to train on, counted in hundreds.")] = AdaptConfig.steps,
    source_batch: Annotated[int, typer.Option(min=2, help="Source images in a batch.")] = AdaptConfig.source_batch,
    target_batch: Annotated[int, typer.Option(min=2, help="Target images in a batch.")] = AdaptConfig.target_batch,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of Adam, at its height.")] = AdaptConfig.learning_rate,
    precision: Precise = AdaptConfig.precision,
    resume: Resume = False,
) -> None:
    """Carry a classifier from a labelled set to an unlabelled one; write adapted.safetensors and adapted.h5.

    Missing pairs are predicted first, from the g.safetensors of the work folder.
    """
    from clusterkit.stages import adapt as stage

    config = AdaptConfig(
        source,
        target,
        method,
        Loss.parse(loss),
        sigma,
        pairs,
        backbone,
        steps,
        source_batch,
        target_batch,
        learning_rate,
        precision,
    )
    stage.check_flags(config, common.context)
    ensure_pairs(pairs, target, common.context, needed=method is not AdaptMethod.SOURCE_ONLY)
    done = stage.run(config, common.context)
    fields = {"artifact": str(done.artifact), "network": str(done.network), "dataset": done.dataset}
    console.result([str(done.artifact)], fields, common.as_json)
