"""clusterkit cluster"""

from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import ensure_k, ensure_pairs
from clusterkit.cli.common import Common, Resume, with_common
from clusterkit.cli.options import flags_of, read_options
from clusterkit.config import ClusterConfig
from clusterkit.methods import METHODS, reads_pairs, with_options
from clusterkit.settings import CountedBy, parse_features, parse_k, parse_pairs

EXAMPLE = "Example: clusterkit cluster --k 100 --loss ccl"
OPTIONS = {name: method.options for name, method in METHODS.items()}


def register(app: typer.Typer) -> None:
    app.command("cluster", epilog=EXAMPLE)(with_common(cluster, shared=trains_a_network, more=flags_of(OPTIONS)))


def trains_a_network(values: dict[str, Any]) -> bool:
    return values["method"] in METHODS and METHODS[values["method"]].trains


def cluster(
    common: Common,
    dataset: Annotated[
        str | None, typer.Argument(help="The unlabelled set T.", show_default="that of the pairs")
    ] = None,
    k: Annotated[
        str,
        typer.Option(
            metavar="[N|auto|known]",
            help="Number of outputs: more than there can be categories; auto, as many as estimate-k finds; "
            "or known, which is an oracle: it counts the classes among the target's labels.",
        ),
    ] = str(ClusterConfig.k),
    method: Annotated[
        str, typer.Option(metavar=f"[{'|'.join(METHODS)}]", help="How to cluster.")
    ] = ClusterConfig.method,
    pairs: Annotated[
        str,
        typer.Option(
            rich_help_panel="Input",
            metavar="[FILE|labels|simulated:...]",
            help="A file of pairs; or labels: the true pairs, for supervised studies; or "
            "simulated:SIMILAR,DISSIMILAR[,DENSITY]: true pairs of which only these shares (the recalls) are right, "
            "and only the share DENSITY of all is used.",
        ),
    ] = str(ClusterConfig.pairs),
    constraints: Annotated[
        Path | None, typer.Option(rich_help_panel="Input", help="CSV of id_a,id_b,must|cannot laid over the pairs.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            rich_help_panel="Input",
            metavar="[pixels|g|ccn|FILE]",
            help="What represents the images for methods other than ccn: their pixels, or the features of G, of an "
            "earlier ccn, or of the network in a file (of pretrain or train-g).",
            show_default="pixels; spectral reads the pairs instead",
        ),
    ] = None,
    resume: Resume = False,
    **options: Any,
) -> None:
    """Sort an unlabelled set into clusters by its pairs; write assignments.h5 and ccn.safetensors.

    Missing pairs are predicted first, from the g.safetensors of the work folder; with --k auto and no k.json, a
    clustering with 100 outputs is counted first.
    """
    from clusterkit.stages import cluster as stage

    config = ClusterConfig(
        dataset=dataset,
        k=parse_k(k),
        method=method,
        pairs=parse_pairs(pairs),
        constraints=constraints,
        features=None if features is None else parse_features(features),
        options=read_options(OPTIONS, method, options, common.context.given),
    )
    stage.check(config, common.context)
    needed = reads_pairs(config) or dataset is None or config.k is CountedBy.ESTIMATE
    ensure_pairs(config.pairs, dataset, common.context, needed=needed)
    ensure_k(with_options(config), common.context)
    done = stage.run(config, common.context)
    fields = {
        "artifact": str(done.artifact),
        "network": None if done.network is None else str(done.network),
        "dataset": done.dataset,
        "clusters": done.clusters,
    }
    console.result([str(done.artifact)], fields, common.as_json)
