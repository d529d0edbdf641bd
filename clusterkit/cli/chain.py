"""Stages that run because a later one needs what they write. Only the command line chains stages."""

from dataclasses import replace
from pathlib import Path

from clusterkit import console
from clusterkit.config import PAIRS_FILE, Backbone, ClusterConfig, Context, EstimateKConfig, PredictPairsConfig
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS, CcnOptions
from clusterkit.settings import CountedBy, File, Pairs

OVER_CLUSTERED = "over-clustered"
"""The folder in a work folder for the clustering in which `--k auto` counts."""
SMALLEST = 16
"""Pixels a side of images that leave something after the four poolings of the default backbone."""


def ensure_pairs(pairs: Pairs, dataset: str | None, context: Context, *, needed: bool = True) -> None:
    """Predict the pairs of the work folder where they are missing, or were predicted on the way for something else.

    Pairs that `predict-pairs` was asked for, or that `--pairs` names, are never replaced: the stage that reads them
    says what does not fit. Several processes predict them together.
    """
    if pairs != PAIRS_FILE or "pairs" in context.given or not needed:
        return
    context = replace(context, given=frozenset())
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.artifacts.lineage import made_from
    from clusterkit.datasets.current import is_of_same_data
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import predict_pairs

    path = context.path(PAIRS_FILE.name)
    reason = "there are none yet"
    if path.exists():
        header = read_header(path, "pairs")
        if not header.config.get("automatic"):
            return
        fits = dataset is None or covers(header.dataset["name"], dataset)
        if fits and made_from(header, "g", context.path("g.safetensors")) and is_of_same_data(header, context):
            return
        reason = f"those of {header.dataset['name']} no longer fit"
        dataset = dataset or header.dataset["name"]
    console.log.info("predicting pairs first (%s), as clusterkit predict-pairs does", reason)
    # Nobody writes before all have looked, and nobody reads before all is written.
    wait_for_all()
    predict_pairs.run(PredictPairsConfig(dataset=dataset, automatic=True), context)
    wait_for_all()


def ensure_k(config: ClusterConfig, context: Context) -> None:
    """Estimate K for `--k auto` where no `k.json` says it, or one made on the way for something else.

    The set is clustered with the default K in a folder of its own first. A `k.json` that `estimate-k` was asked for is
    never replaced.
    """
    if config.k is not CountedBy.ESTIMATE or not isinstance(config.pairs, File):
        return
    context = replace(context, given=frozenset())
    from clusterkit.artifacts.files import sha256
    from clusterkit.artifacts.json_file import read_json
    from clusterkit.datasets.current import up_to_date
    from clusterkit.distributed import is_first, wait_for_all
    from clusterkit.stages import cluster, estimate_k

    path, pairs = context.path(estimate_k.OUTPUT), context.find(config.pairs.name)
    inner = replace(context, workdir=context.path(OVER_CLUSTERED))
    over = replace(by_network(config, pairs), k=ClusterConfig.k, pairs=File(str(pairs)))
    options = over.options
    if isinstance(options, CcnOptions) and isinstance(options.init, File):
        # A bare name is looked for in the work folder, of which the folder of this clustering is another.
        over = replace(over, options=replace(options, init=File(str(context.find(options.init.name)))))
    assignments = inner.path(cluster.OUTPUT)
    there = up_to_date(assignments, over, inner, **cluster.files_read(over, inner))
    if path.exists():
        header, _ = read_json(path, "k")
        if not header.config.get("automatic") or (there and header.inputs["assignments"] == sha256(assignments)):
            return
    console.log.info("estimating K first (--k auto), from a clustering with %s outputs", over.k)
    # Nobody writes before all have looked, and nobody reads before all is written.
    wait_for_all()
    if not there:
        try:
            cluster.run(over, inner)
        except UsageError as error:
            reason = str(error).removeprefix(f"--k {over.k}: ").partition(";")[0]
            raise UsageError(
                f"--k auto: K is estimated from {over.k} outputs, but {reason}; run clusterkit cluster with a smaller "
                "--k, then clusterkit estimate-k"
            ) from error
    wait_for_all()
    if is_first():
        estimate_k.run(EstimateKConfig(assignments=str(assignments), pairs=str(pairs), automatic=True), context)
    wait_for_all()


def by_network(config: ClusterConfig, pairs: Path) -> ClusterConfig:
    """Return the clustering that counts categories: the network's, as other methods have no cluster to leave empty.

    For those it has the default backbone, or `mlp` where G saw vectors or images too small for convolutions.
    """
    from clusterkit.artifacts.hdf5 import read_header

    if METHODS[config.method].trains:
        return config
    shape = read_header(pairs, "pairs").extra["shape"]
    backbone = CcnOptions.backbone if len(shape) == 3 and min(shape[1:]) >= SMALLEST else Backbone.MLP
    return ClusterConfig(dataset=config.dataset, constraints=config.constraints, options=CcnOptions(backbone=backbone))


def covers(held: str, wanted: str) -> bool:
    """Return whether the pairs of the data set `held` are also those of `wanted`: the same one, or a subset of it."""
    from clusterkit.datasets.catalogue import parse

    whole, part = parse(held), parse(wanted)
    return part == whole or (whole.subset is None and replace(part, subset=None) == whole)
