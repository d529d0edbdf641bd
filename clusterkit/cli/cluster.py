"""clusterkit cluster"""

from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.chain import (
    alone_without_g,
    check_named,
    check_names,
    check_no_self_train,
    ensure_pairs,
    has_pairs_or_g,
)
from clusterkit.cli.common import Common, Examples, Recipes, Resume, with_common
from clusterkit.cli.counting import ensure_k
from clusterkit.cli.options import flags_of, read_options
from clusterkit.cli.reading import reading_flags
from clusterkit.config import G_FILE, PAIRS_FILE, ClusterConfig, Recipe
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS, reads_pairs, with_options
from clusterkit.settings import CountedBy, parse_features, parse_k, parse_pairs

EXAMPLE = "Example: clusterkit cluster --k 100 --loss ccl"
OPTIONS = {name: method.options for name, method in METHODS.items()}


def register(app: typer.Typer) -> None:
    app.command("cluster", epilog=EXAMPLE)(
        with_common(cluster, shared=trains_a_network, more=[*reading_flags(labels=True), *flags_of(OPTIONS)])
    )


def trains_a_network(values: dict[str, Any]) -> bool:
    return values["method"] in METHODS and METHODS[values["method"]].trains


def cluster(
    common: Common,
    dataset: Annotated[
        str | None, typer.Argument(help="The unlabelled set T.", show_default="the set of the pairs")
    ] = None,
    recipe: Recipes = ClusterConfig.recipe,
    k: Annotated[
        str,
        typer.Option(
            metavar="[N|auto|known]",
            help="Number of clusters; for ccn an upper bound, so give more than there can be categories. auto takes "
            "the number that estimate-k finds; known is an oracle, which counts the classes of T's labels.",
        ),
    ] = str(ClusterConfig.k),
    method: Annotated[
        str, typer.Option(metavar=f"[{'|'.join(METHODS)}]", help="Clustering method.")
    ] = ClusterConfig.method,
    pairs: Annotated[
        str,
        typer.Option(
            rich_help_panel="Input",
            metavar="[FILE|constraints|labels|simulated:...]",
            help="A file of pairs; constraints, only those of --constraints; labels, the true pairs, for supervised "
            "studies; or simulated:S,D[,P], true pairs of "
            "which only the share S of the similar and the share D of the dissimilar ones (the recalls) are right, and "
            "only the share P of all pairs is used.",
        ),
    ] = str(ClusterConfig.pairs),
    no_self_train: Annotated[
        bool,
        typer.Option(
            "--no-self-train",
            rich_help_panel="Input",
            help="Predict missing pairs by G as it is. By default, a G of characters by the best recipe is first "
            "trained further on T, as self-train does.",
        ),
    ] = False,
    constraints: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel="Input",
            help="CSV file of must-links and cannot-links, which override pairs: ITEM,ITEM,must|cannot, with items by "
            "name or id.",
        ),
    ] = None,
    examples: Examples = None,
    constraint_weight: Annotated[
        float | None,
        typer.Option(
            rich_help_panel="Input",
            help="Number of other pairs that a constrained pair counts as; for ccn only in its second training, which "
            "runs if some constraints do not hold. On pairs of a metric, the number of other items that a linked item "
            "counts as.",
            show_default="all constrained pairs count as much as all other pairs; on a metric 4",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            rich_help_panel="Input",
            metavar="[pixels|g|ccn|FILE]",
            help="Features for methods other than ccn: the pixels, or the features of G, of the ccn.safetensors of an "
            "earlier run, of the network in a file of pretrain or train-g, or in the features.h5 of embed.",
            show_default="pixels; spectral reads the pairs instead",
        ),
    ] = None,
    resume: Resume = False,
    **options: Any,
) -> None:
    """Cluster an unlabelled set by its pairs; write assignments.h5 and, with ccn, ccn.safetensors.

    Missing pairs are predicted first, with the g.safetensors of the work folder, which the best recipe for characters
    first trains further on this set. With --k auto and no k.json, K is
    estimated first, from a clustering with up to 100 outputs, or for features of a fixed backbone from the pairs alone.
    """
    from clusterkit.stages import cluster as stage

    config = ClusterConfig(
        dataset=dataset,
        recipe=recipe,
        k=parse_k(k),
        method=method,
        pairs=parse_pairs(pairs),
        constraints=constraints,
        examples=examples,
        constraint_weight=constraint_weight,
        features=None if features is None else parse_features(features),
        options=read_options(OPTIONS, method, options, common.context.given),
    )
    named = with_options(config)
    config = alone_without_g(named, common.context)
    stage.check(config, common.context)
    by_pairs = reads_pairs(config) or config.k is CountedBy.ESTIMATE
    if no_self_train:
        check_no_self_train(config, common.context)
    check_names(dataset)
    check_named(config, common.context)
    if config is not named:
        workdir = common.context.workdir
        links = " and ".join(name for name in ("constraints", "examples") if getattr(config, name) is not None)
        console.log.info("using the %s alone, as %s has neither %s nor %s", links, workdir, PAIRS_FILE, G_FILE)
    names_pairs = by_pairs or "pairs" in common.context.given or has_pairs_or_g(common.context)
    if dataset is None and not names_pairs:
        raise UsageError(f"DATASET: name the set that --method {method} clusters, because no pairs name it")
    needed = by_pairs or dataset is None
    # Pairs that only name the set may be by any G.
    self_train = recipe is Recipe.BEST and not no_self_train if by_pairs else None
    warnings = ensure_pairs(config.pairs, dataset, common.context, needed=needed, reader=config, self_train=self_train)
    warnings += ensure_k(with_options(config), common.context)
    done = stage.run(config, common.context)
    fields: dict[str, Any] = {
        "artifact": str(done.artifact),
        "network": None if done.network is None else str(done.network),
        "dataset": done.dataset,
        "clusters": done.clusters,
        "warnings": warnings + done.warnings,
    }
    if done.constraints is not None:
        fields["constraints"] = done.constraints
    if done.names is not None:
        fields["names"] = done.names
    console.result([str(done.artifact)], fields, common.as_json)
