"""clusterkit predict-pairs"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import BatchNorm, Form, PredictPairsConfig

EXAMPLE = "Example: clusterkit predict-pairs omniglot_eval"


def register(app: typer.Typer) -> None:
    app.command("predict-pairs", epilog=EXAMPLE)(
        with_common(predict_pairs, shared=lambda values: True, more=reading_flags())
    )


def predict_pairs(
    common: Common,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="The unlabelled set T.",
            show_default="the set that belongs to G's training set, as omniglot_eval to omniglot_bg",
        ),
    ] = None,
    g: Annotated[
        str, typer.Option(help="G, a file of train-g or self-train; characters: the one of the program.")
    ] = PredictPairsConfig.g,
    bn: Annotated[
        BatchNorm, typer.Option(help="Batch-norm statistics of G: those of T (target), or those of A (source).")
    ] = PredictPairsConfig.bn,
    form: Annotated[
        Form, typer.Option(help="Store N x N logits (dense), or N x H factors of them; auto chooses by size.")
    ] = PredictPairsConfig.form,
    resume: Resume = False,
) -> None:
    """Predict with G whether each pair of images of an unlabelled set is similar; write pairs.h5."""
    from clusterkit.stages import predict_pairs as stage

    check_names(dataset)
    done = stage.run(PredictPairsConfig(dataset=dataset, g=g, bn=bn, form=form), common.context)
    fields = {
        "artifact": str(done.artifact),
        "dataset": done.dataset,
        "health": done.health,
        "warnings": done.warnings,
    }
    console.result([str(done.artifact)], fields, common.as_json)
