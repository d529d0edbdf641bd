"""Stages that run because a later one needs what they write. Only the command line chains stages."""

from dataclasses import replace

from clusterkit import console
from clusterkit.config import ClusterConfig, Context, PredictPairsConfig


def ensure_pairs(pairs: str, dataset: str | None, context: Context, *, needed: bool = True) -> None:
    """Predict the pairs of the work folder where they are missing, or were predicted on the way for something else.

    Pairs that `predict-pairs` was asked for are never replaced: the stage that reads them says what does not fit.
    Several processes predict them together.
    """
    if pairs != ClusterConfig.pairs or not needed:
        return
    from clusterkit.artifacts.hdf5 import read_header
    from clusterkit.artifacts.lineage import made_from
    from clusterkit.distributed import wait_for_all
    from clusterkit.stages import predict_pairs

    path = context.path(pairs)
    reason = "there are none yet"
    if path.exists():
        header = read_header(path, "pairs")
        if not header.config.get("automatic"):
            return
        fits = dataset is None or covers(header.dataset["name"], dataset)
        if fits and made_from(header, "g", context.path("g.safetensors")):
            return
        reason = f"those of {header.dataset['name']} no longer fit"
        dataset = dataset or header.dataset["name"]
    console.log.info("predicting pairs first (%s), as clusterkit predict-pairs does", reason)
    # Nobody writes before all have looked, and nobody reads before all is written.
    wait_for_all()
    predict_pairs.run(PredictPairsConfig(dataset, automatic=True), context)
    wait_for_all()


def covers(held: str, wanted: str) -> bool:
    """Return whether the pairs of the data set `held` are also those of `wanted`: the same one, or a subset of it."""
    from clusterkit.datasets.catalogue import parse

    whole, part = parse(held), parse(wanted)
    return part == whole or (whole.subset is None and replace(part, subset=None) == whole)
