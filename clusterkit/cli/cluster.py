"""clusterkit cluster"""

from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import ensure_k, ensure_pairs
from clusterkit.cli.common import Common, DropEvery, Precise, Resume, with_common
from clusterkit.config import Backbone, ClusterConfig, Loss, Method, Optimizer, Variation

EXAMPLE = "Example: clusterkit cluster --k 100 --loss ccl"


def register(app: typer.Typer) -> None:
    app.command("cluster", epilog=EXAMPLE)(with_common(cluster, shared=trains_a_network))


def trains_a_network(values: dict[str, Any]) -> bool:
    return bool(values["method"] is Method.CCN)


def cluster(
    common: Common,
    dataset: Annotated[str | None, typer.Argument(help="The unlabelled set T [default: that of the pairs].")] = None,
    k: Annotated[
        str,
        typer.Option(
            help="Number of outputs: more than there can be categories; auto, as many as estimate-k finds; "
            "or known, which is an oracle: it counts the classes among the target's labels."
        ),
    ] = ClusterConfig.k,
    method: Annotated[
        Method, typer.Option(help="How pairs, or what is seen in the images, become clusters.")
    ] = ClusterConfig.method,
    loss: Annotated[str, typer.Option(metavar="[kcl|ccl]", help="Pair loss of ccn (mcl is ccl).")] = ClusterConfig.loss,
    sigma: Annotated[float, typer.Option(min=0, help="Margin of kcl.")] = ClusterConfig.sigma,
    pairs: Annotated[
        str,
        typer.Option(
            help="A pairs file, or labels: the true pairs, for supervised studies; or "
            "simulated:SIMILAR,DISSIMILAR[,DENSITY]: true pairs of which only these shares (the recalls) are right, "
            "and only the share DENSITY of all is used."
        ),
    ] = ClusterConfig.pairs,
    constraints: Annotated[Path | None, typer.Option(help="CSV of id_a,id_b,must|cannot laid over the pairs.")] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="[pixels|g|ccn|FILE]",
            help="What methods other than ccn see in the images: their pixels, or the features of G, of earlier ccn, "
            "or of the network in a file (of pretrain or train-g) [default: pixels; spectral sees the pairs].",
        ),
    ] = None,
    max_pairs: Annotated[
        int | None,
        typer.Option(
            min=4, help="itml and mpckmeans use the pairs among so many random images that they are no more than this."
        ),
    ] = None,
    init: Annotated[
        str,
        typer.Option(
            metavar="[random|g|FILE]",
            help="Train a whole network from random weights or from those of a file (of pretrain or train-g), or a "
            "head on the features of G, which is quicker.",
        ),
    ] = ClusterConfig.init,
    backbone: Annotated[Backbone, typer.Option(help="The network of ccn.")] = ClusterConfig.backbone,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over each subset [default: until each pair met 7.5 times, in 250 to 5,000 batches]."
        ),
    ] = ClusterConfig.epochs,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Images in a batch [default: 100, and 200 with --init g].")
    ] = ClusterConfig.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0, help="At its height.")] = ClusterConfig.learning_rate,
    optimizer: Annotated[Optimizer, typer.Option(help="Adam, or sgd with momentum.")] = ClusterConfig.optimizer,
    drop_every: DropEvery = None,
    variation: Annotated[
        Variation,
        typer.Option(help="How much characters are varied; strong also bends them, erased blanks parts of them."),
    ] = ClusterConfig.variation,
    rounds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Trainings one after another: each but the first on the clusters of the one before, as far as the "
            "nearest neighbours of each image agree.",
        ),
    ] = ClusterConfig.rounds,
    precision: Precise = ClusterConfig.precision,
    resume: Resume = False,
) -> None:
    """Sort an unlabelled set into clusters by its pairs; write assignments.h5 and ccn.safetensors.

    Missing pairs are predicted first, from the g.safetensors of the work folder; with --k auto and no k.json, a
    clustering with 100 outputs is counted first.
    """
    from clusterkit.stages import cluster as stage

    config = ClusterConfig(
        dataset,
        k,
        method,
        Loss.parse(loss),
        sigma,
        pairs,
        constraints,
        features,
        max_pairs,
        init,
        backbone,
        epochs,
        batch_size,
        learning_rate,
        optimizer,
        drop_every,
        variation,
        rounds,
        precision,
    )
    stage.check_flags(config, common.context)
    needed = config.uses_pairs or dataset is None or k == "auto"
    ensure_pairs(config.pairs, config.dataset, common.context, needed=needed)
    ensure_k(config, common.context)
    done = stage.run(config, common.context)
    fields = {
        "artifact": str(done.artifact),
        "network": None if done.network is None else str(done.network),
        "dataset": done.dataset,
        "clusters": done.clusters,
    }
    console.result([str(done.artifact)], fields, common.as_json)
