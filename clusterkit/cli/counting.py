"""The estimate of K that the command line makes first, for `--k auto`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clusterkit import console
from clusterkit.config import OWN_G, ClusterConfig, Context, EstimateKConfig
from clusterkit.methods import METHODS, CcnOptions
from clusterkit.settings import CountedBy, File

if TYPE_CHECKING:
    from clusterkit.pairs.read import PairInput

OVER_CLUSTERED = "over-clustered"
"""The subfolder of the clustering from which `--k auto` estimates K."""


def ensure_k(config: ClusterConfig, context: Context) -> list[str]:
    """Estimate K for `--k auto` if `k.json` is missing, or if an earlier automatic `k.json` does not fit.

    The set is first clustered with the default K in its own folder, unless its pairs suffice (`ensure_k_of_metric`). A
    `k.json` that the user made is never replaced. Returns the warnings of this clustering and of estimate-k.
    """
    if config.k is not CountedBy.ESTIMATE or not isinstance(config.pairs, File):
        return []
    from clusterkit.artifacts.files import sha256
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.datasets.current import up_to_date
    from clusterkit.distributed import is_first, wait_for_all
    from clusterkit.pairs.read import read_pairs
    from clusterkit.stages import cluster, estimate_k

    source = read_pairs(config, context, used=True)
    cluster.suited_to(config, source, context)
    context = replace(context, given=context.given & {"backbone"})
    if source.is_by_metric:
        return ensure_k_of_metric(context.find(config.pairs.name), context)
    path, pairs = context.path(estimate_k.OUTPUT), context.find(config.pairs.name)
    inner = replace(context, workdir=context.path(OVER_CLUSTERED))
    weight = None if config.constraints is None else config.constraint_weight
    # Examples would make the estimate one with labels.
    config = replace(config, examples=None, constraint_weight=weight)
    items = sizes(source, config.dataset)
    over_clustering = with_many_outputs(by_network(config, source, context), items, pairs)
    options = over_clustering.options
    if isinstance(options, CcnOptions) and isinstance(options.init, File) and options.init.name != OWN_G:
        # This clustering has another work folder, in which a bare name would not be found.
        over_clustering = replace(
            over_clustering, options=replace(options, init=File(str(context.find(options.init.name))))
        )
    assignments = inner.path(cluster.OUTPUT)
    is_current = up_to_date(assignments, over_clustering, inner, **cluster.files_read(over_clustering, inner))
    if path.exists():
        header, _ = read_json(path, "k")
        if not header.config.get("automatic") or (
            is_current and header.inputs.get("assignments") == sha256(assignments)
        ):
            return []
    console.log.info("estimating K first (--k auto), from a clustering with %s", outputs_of(over_clustering, items))
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    warnings: list[str] = []
    if not is_current:
        warnings += cluster.run(over_clustering, inner).warnings
    wait_for_all()
    if is_first():
        estimating = EstimateKConfig(assignments=str(assignments), pairs=str(pairs), automatic=True)
        warnings += estimate_k.run(estimating, context).warnings
    wait_for_all()
    return warnings


def sizes(pairs: "PairInput", dataset: str | None) -> dict[str, int]:
    """Return by name the number of items in each subset of the pairs, or in the one that the data set names."""
    from clusterkit.datasets.catalogue import parse

    subset = None if dataset is None else parse(dataset).subset
    return {title: len(group["id"]) for title, group in pairs.groups.items() if subset in (None, title)}


def with_many_outputs(config: ClusterConfig, items: Mapping[str, int], pairs: Path) -> ClusterConfig:
    """Return the settings of a clustering from which K is estimated, by the pairs of a file.

    It has the default K, or as many outputs as the smallest subset has items, because more would tell nothing. `items`
    are the numbers of items by subset.
    """
    assert isinstance(ClusterConfig.k, int)
    return replace(config, k=min(ClusterConfig.k, *items.values()), pairs=File(str(pairs)))


def outputs_of(config: ClusterConfig, items: Mapping[str, int]) -> str:
    """Return the number of outputs of this clustering and, if it is not the default K, which subset sets it."""
    text = f"{config.k} outputs"
    if config.k == ClusterConfig.k:
        return text
    smallest = min(items, key=lambda title: items[title])
    return f"{text}, as {'the set' if len(items) == 1 else smallest} has only {items[smallest]} items"


def ensure_k_of_metric(pairs: Path, context: Context) -> list[str]:
    """Estimate K from pairs by a metric alone, likewise if `k.json` is missing or an automatic one does not fit."""
    from clusterkit.artifacts.files import sha256
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.distributed import is_first, wait_for_all
    from clusterkit.stages import estimate_k

    path = context.path(estimate_k.OUTPUT)
    if path.exists():
        header, _ = read_json(path, "k")
        if not header.config.get("automatic") or header.inputs.get("pairs") == sha256(pairs):
            return []
    console.log.info("estimating K first (--k auto), from the pairs alone")
    # No process writes before all have checked, and none reads before all has been written.
    wait_for_all()
    warnings: list[str] = []
    if is_first():
        warnings = estimate_k.run(EstimateKConfig(pairs=str(pairs), automatic=True), context).warnings
    wait_for_all()
    return warnings


def by_network(config: ClusterConfig, pairs: "PairInput", context: Context) -> ClusterConfig:
    """Return a clustering by a network to estimate K from, because other methods leave no cluster empty.

    The network is that of a `config` of a network, or else the default one, with a backbone for the items of the pairs.
    """
    from clusterkit.methods.common.check import with_backbone
    from clusterkit.pairs.read import shape_of
    from clusterkit.stages.cluster import suited_to

    assert pairs.header is not None
    assert pairs.path is not None
    if not METHODS[config.method].trains:
        config = ClusterConfig(
            dataset=config.dataset, recipe=config.recipe, constraints=config.constraints,
            constraint_weight=config.constraint_weight, options=CcnOptions(),
        )  # fmt: skip
    config = suited_to(config, pairs, context)
    return replace(config, options=with_backbone(config.options, shape_of(pairs.header, pairs.path), context))
