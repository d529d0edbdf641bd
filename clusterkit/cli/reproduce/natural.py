"""clusterkit reproduce natural"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.reproduce import runs
from clusterkit.config import (
    Backbone,
    ClusterConfig,
    Context,
    EvaluateConfig,
    Precision,
    PredictPairsConfig,
    PretrainConfig,
    TrainGConfig,
)
from clusterkit.losses import Loss, parse_loss
from clusterkit.methods import CcnOptions
from clusterkit.settings import File

EXAMPLE = "Example: clusterkit reproduce natural --set cifar10 --budget 0.2"


@dataclass(frozen=True)
class Study:
    """Known classes, unseen ones, images to judge G's pairs by, outputs, and how long each network is trained."""

    known: str
    unseen: str
    judged: str
    ks: tuple[int, ...]
    backbone: Backbone
    classes_per_batch: int
    images_per_class: int
    pretrain_epochs: int
    g_epochs: int
    cluster_epochs: int


STUDIES = {
    "cifar10": Study(
        "cifar10_train@0-4", "cifar10_train@5-9", "cifar10_test@5-9", (5, 20), Backbone.VGG8, 5, 20, 100, 50, 20
    ),
    "imagenet": Study(
        "imagenet882", "imagenet118_30", "imagenet118_30", (30, 100), Backbone.RESNET18, 20, 5, 90, 30, 30
    ),
}


def register(group: typer.Typer) -> None:
    group.command("natural", epilog=EXAMPLE)(with_common(natural))


def natural(
    common: Common,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[cifar10|imagenet]", help="May be repeated.", show_default="all that are here"),
    ] = None,
    backbone: Annotated[Backbone | None, typer.Option(help="Of all networks.", show_default="the set's")] = None,
    loss: Annotated[
        list[str], typer.Option(metavar="[kcl|ccl]", help="Pair loss; may be repeated.")
    ] = runs.PAIR_LOSSES,
    budget: Annotated[float, typer.Option(min=0.001, max=1, help="The share of the epochs of every training.")] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="How often each clustering is repeated.")] = 1,
    precision: Precise = Precision.FP32,
    resume: Resume = False,
) -> None:
    """Unseen categories of photos: ImageNet (L2C, table 8; CCL, table 3), and half of CIFAR-10 from the other half.

    Pretrains a classifier of the known classes, trains G from it on them, predicts the pairs of the unseen ones once,
    and clusters them by each loss from the classifier's backbone, and by k-means on its features. Writes natural.md and
    natural.json. All artifacts are in the folder natural of --workdir, one folder a set and run.
    """
    from clusterkit.report import natural as report

    losses = [parse_loss(name) for name in dict.fromkeys(loss)]
    names = runs.wanted("set", sets, {name: [study.known] for name, study in STUDIES.items()}, common.context)
    context = runs.inside(common.context, "natural")
    results: dict[str, Any] = {"budget": budget, "precision": precision, "sets": {}}
    for name in names:
        study = scaled(STUDIES[name], budget)
        study = study if backbone is None else replace(study, backbone=backbone)
        results["sets"][name] = run(study, losses, seeds, precision, runs.inside(context, name))
    runs.write_tables("natural", report.markdown(results), results, context, common.as_json)


def scaled(study: Study, budget: float) -> Study:
    return replace(
        study,
        pretrain_epochs=runs.share_of(study.pretrain_epochs, budget),
        g_epochs=runs.share_of(study.g_epochs, budget),
        cluster_epochs=runs.share_of(study.cluster_epochs, budget),
    )


def run(study: Study, losses: list[Loss], seeds: int, precision: Precision, context: Context) -> dict[str, Any]:
    """Return G's pair scores on the unseen classes and the scores of each method, K and seed."""
    from clusterkit.stages import evaluate

    pretrained = runs.pretrain(
        PretrainConfig(dataset=study.known, backbone=study.backbone, epochs=study.pretrain_epochs, precision=precision),
        context,
    )
    g = TrainGConfig(
        dataset=study.known, epochs=study.g_epochs, classes_per_batch=study.classes_per_batch,
        images_per_class=study.images_per_class, init=pretrained, precision=precision,
    )  # fmt: skip
    scored = evaluate.run(EvaluateConfig(g=str(runs.train_g(g, context)), dataset=study.judged, ways=(5,)), context)
    pairs = runs.predict_pairs(PredictPairsConfig(dataset=study.unseen), context)
    start = File(str(pretrained))
    ccn = CcnOptions(init=start, epochs=study.cluster_epochs, precision=precision)
    methods = {"k-means": ClusterConfig(dataset=study.unseen, method="kmeans", features=start)}
    methods |= {
        f"CCN, {loss.upper()}": ClusterConfig(
            dataset=study.unseen, pairs=File(str(pairs)), options=replace(ccn, loss=loss)
        )
        for loss in losses
    }
    found = [
        cluster(method, replace(config, k=k), context, seed)
        for k in study.ks
        for method, config in methods.items()
        for seed in range(context.seed, context.seed + seeds)
    ]
    trained = {name: getattr(study, name) for name in ("backbone", "pretrain_epochs", "g_epochs", "cluster_epochs")}
    return {"g": scored.mean, "runs": found, "trained": trained}


def cluster(method: str, config: ClusterConfig, context: Context, seed: int) -> dict[str, Any]:
    name = config.options.loss if isinstance(config.options, CcnOptions) else config.method
    inner = runs.inside(context, f"{name}-k{config.k}-seed{seed}", seed)
    runs.cluster(config, inner)
    return {"method": method, "k": str(config.k), "seed": seed, **runs.scores(inner)["mean"]}
