"""The number of clusters K of each subset: as typed, estimated before, or counted among the labels."""

import logging

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.json_file import read_json
from clusterkit.artifacts.lineage import Learned, learned_from
from clusterkit.config import ClusterConfig, Context
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.overlap import includes
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS
from clusterkit.pairs.read import PairInput
from clusterkit.settings import CountedBy

log = logging.getLogger("clusterkit")

ESTIMATES = "k.json"


def read_estimates(
    config: ClusterConfig, context: Context, pairs: PairInput, data: Dataset
) -> tuple[dict[str, int], dict[str, str], Learned]:
    """Return the K of `k.json` by subset, the file's hash as an input, and the sets that its G learned.

    All are empty without `--k auto`. Raises InputError if `k.json` is missing, or was made from other pairs or data.
    """
    if config.k is not CountedBy.ESTIMATE:
        return {}, {}, {}
    path = context.path(ESTIMATES)
    if not path.exists():
        raise InputError(f"{path}: no such file, but --k auto reads it; run: clusterkit estimate-k")
    header, content = read_json(path, "k")
    digest = pairs.inputs.get("pairs")
    if digest is not None and header.inputs.get("pairs") != digest:
        raise InputError(f"{path}: was estimated from other pairs than {pairs.path}; run: clusterkit estimate-k")
    if digest is None and not includes(header.dataset, data.to_header()):
        raise InputError(
            f"{path}: was estimated from {header.dataset['name']}, not from this content of {data.name}; give --k a "
            f"number, or run: clusterkit predict-pairs {data.name}, then: clusterkit estimate-k"
        )
    return content["recommended"], {"k": sha256(path)}, {"G": learned_from(header, path)}


def number_of_clusters(config: ClusterConfig, subset: Subset, name: str, estimates: dict[str, int], fewest: int) -> int:
    """Return K for one subset, 0 if the method finds K, and not less than `fewest` if K is estimated.

    Raises UsageError or InputError for an impossible K.
    """
    method = METHODS[config.method]
    if method.finds_k:
        return 0
    k = requested_k(config, subset, name, estimates)
    if config.k is CountedBy.ESTIMATE and fewest > k:
        log.info(
            "cluster %s: K is %d, the number of labels of the examples; k.json estimates %d",
            name, fewest, estimates[subset.name],
        )  # fmt: skip
        k = fewest
    if fewest > k:
        raise UsageError(f"--k {config.k}: the examples have {fewest} labels; give a number from {fewest}")
    if k >= len(subset) and not method.trains:
        raise UsageError(
            f"--k {config.k}: {name} has only {len(subset)} items in subset {subset.name}; give a smaller number"
        )
    return k


def requested_k(config: ClusterConfig, subset: Subset, name: str, estimates: dict[str, int]) -> int:
    """Return the K of one subset, from the settings, the estimates or the labels."""
    if config.k is CountedBy.ESTIMATE:
        if subset.name not in estimates:
            raise InputError(f"--k auto: {ESTIMATES} has no estimate for {subset.name}; run: clusterkit estimate-k")
        if estimates[subset.name] > len(subset):
            raise InputError(
                f"--k auto: {ESTIMATES} has {estimates[subset.name]} for {subset.name}, more than its {len(subset)} "
                "items; give --k a number, or run: clusterkit estimate-k"
            )
        # A network with one output cannot learn.
        return max(2, estimates[subset.name])
    if config.k is CountedBy.LABELS:
        if subset.labels is None:
            raise UsageError(f"--k known: {name} has no labels to count; give a number")
        return len(subset.labels[subset.labels >= 0].unique())
    if config.k > len(subset):
        raise UsageError(
            f"--k {config.k}: {name} has only {len(subset)} items in subset {subset.name}; give a smaller number"
        )
    return config.k
