"""clusterkit reproduce omniglot"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.reproduce import runs
from clusterkit.config import (
    ClusterConfig,
    Context,
    EvaluateConfig,
    PredictPairsConfig,
    SelfTrainConfig,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.losses import parse_loss
from clusterkit.methods import CcnOptions, with_options
from clusterkit.settings import CountedBy, File, Init, parse_k

EXAMPLE = "Example: clusterkit reproduce omniglot --loss ccl --k 100 --seeds 1"

G = runs.OMNIGLOT_G
SELF_TRAIN, CLUSTER = SelfTrainConfig(dataset="omniglot_eval"), ClusterConfig(dataset="omniglot_eval")
BACKBONE = G.backbone
"""Of whole clustering networks."""
DIGITS = "mnist_test"
LOSSES, KS = ["ccl", "kcl"], [str(CLUSTER.k), "auto", "known"]
SEEDS = 3


def register(group: typer.Typer) -> None:
    group.command("omniglot", epilog=EXAMPLE)(with_common(omniglot))


def omniglot(
    common: Common,
    g: Annotated[Path | None, typer.Option(help="A G to take instead of training one.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How long G is trained; 30 for those in a hurry.")] = G.epochs,
    loss: Annotated[list[str], typer.Option(metavar="[kcl|ccl]", help="Pair loss; may be repeated.")] = LOSSES,
    k: Annotated[list[str], typer.Option(help="Outputs, auto, or known (an oracle); may be repeated.")] = KS,
    seeds: Annotated[int, typer.Option(min=1, help="How often each clustering is repeated.")] = SEEDS,
    init: Annotated[
        Init,
        typer.Option(help="CCN starts from G's backbone, or is a whole network from random weights, as published."),
    ] = Init.G,
    self_train: Annotated[
        bool, typer.Option(help="Let G go on learning on the unlabelled alphabets before it predicts their pairs.")
    ] = True,
    resume: Resume = False,
) -> None:
    """The characters of twenty unseen alphabets: L2C, tables 1 and 5 to 7, and CCL, table 4.

    Trains G on omniglot_bg and, without labels, on omniglot_eval, predicts the pairs of omniglot_eval once, clusters
    them with each loss, K and seed, and writes omniglot.md and omniglot.json. All artifacts are in the folder omniglot
    of --workdir, one folder a run.
    """
    from clusterkit.report import omniglot as report
    from clusterkit.report.confusions import write_confusions
    from clusterkit.stages import cluster

    losses = [parse_loss(name) for name in dict.fromkeys(loss)]
    base = with_options(CLUSTER).options
    assert isinstance(base, CcnOptions)
    options = replace(base, init=init, backbone=BACKBONE if init is Init.RANDOM else CcnOptions.backbone)
    ks = [parse_k(number) for number in dict.fromkeys(k)]
    configs = [replace(CLUSTER, k=k, options=replace(options, loss=name)) for k in ks for name in losses]
    context = runs.inside(common.context, "omniglot")
    for config in configs:
        cluster.check(config, context)
    given = runs.g_for(g, replace(G, epochs=epochs), context)
    results: dict[str, Any] = {"g": g_scores(given, context), "runs": []}
    asked = PredictPairsConfig(dataset=CLUSTER.dataset)
    if self_train:
        trained = runs.self_train(SELF_TRAIN, context)
        results["self-trained g"] = g_scores(trained, context)
        asked = replace(asked, g=trained.name)
    pairs = runs.predict_pairs(asked, context)
    for config in configs:
        for seed in range(context.seed, context.seed + seeds):
            results["runs"].append(run(replace(config, pairs=File(str(pairs))), context, seed))
    worst, where = report.worst(results["runs"]), context.path("confusions.png")
    first = results["runs"][0]
    made = runs.inside(context, f"{losses[0]}-k{first['k']}-seed{first['seed']}").path(cluster.OUTPUT)
    write_confusions(context, made, worst, where)
    runs.write_tables("omniglot", report.markdown(results, where.name), results, context, common.as_json)


def run(config: ClusterConfig, context: Context, seed: int) -> dict[str, Any]:
    """Cluster all alphabets in a folder of their own; return the scores and, where K is not known, the estimates."""
    options = config.options
    assert isinstance(options, CcnOptions)
    inner = runs.inside(context, f"{options.loss}-k{config.k}-seed{seed}", seed)
    found: dict[str, Any] = {
        "method": f"CCN, {options.loss.upper()}", "k": str(config.k), "seed": seed, "init": str(options.init),
    }  # fmt: skip
    if config.k is CountedBy.ESTIMATE:
        counted = runs.inside(context, f"{options.loss}-k{CLUSTER.k}-seed{seed}", seed)
        found["estimates"] = runs.estimate_k(replace(config, k=CLUSTER.k), counted, inner)
    runs.cluster(config, inner)
    if isinstance(config.k, int):
        found["estimates"] = runs.estimate_k(config, inner, inner)
    return {**found, **runs.scores(inner)}


def g_scores(g: Path, context: Context) -> dict[str, Any]:
    """Return a G's scores on the target, by subset and in the mean, and its 10-way test on MNIST if at hand."""
    from clusterkit.stages import evaluate

    scored = evaluate.run(EvaluateConfig(g=g.name, dataset=CLUSTER.dataset), context)
    found: dict[str, Any] = {"subsets": scored.scores, "mean": dict(scored.mean)}
    try:
        digits = evaluate.one_shot(EvaluateConfig(g=g.name, dataset=DIGITS, ways=(10,)), context)
        found["mean"]["mnist 10_way"] = digits["10_way"]
    except (InputError, UsageError) as error:
        console.log.warning("no test on digits: %s", error)
    return found
