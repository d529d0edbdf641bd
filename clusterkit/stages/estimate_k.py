"""estimate-k: estimates the number of categories by several estimators without labels."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import write_json
from clusterkit.artifacts.lineage import beside_training, check_made_from, g_of, learned_from
from clusterkit.config import Context, EstimateKConfig
from clusterkit.console import warn_all
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.errors import InputError
from clusterkit.methods.common import sample
from clusterkit.methods.common.consensus import consensus
from clusterkit.methods.common.outputs import OUTPUTS, none_empty, outputs
from clusterkit.methods.common.probe import read_probe
from clusterkit.methods.common.rounds import SHARE, count_in_sample
from clusterkit.metrics import doubts
from clusterkit.metrics.clustering import ndc
from clusterkit.metrics.k_estimates import LESS, eigengap, linkage_count
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.source import PairSource, logit_matrix
from clusterkit.settings import CountedBy

log = logging.getLogger("clusterkit")

OUTPUT = "k.json"
ASSIGNMENTS = "assignments.h5"
RECOMMENDED = "consensus"
RECOMMENDED_OF_METRIC = "communities"


@dataclass(frozen=True)
class EstimateKResult:
    """By subset: each estimator's K, and the K of the recommended `estimator`."""

    artifact: Path
    estimates: dict[str, dict[str, int]]
    warnings: list[str]
    estimator: str = RECOMMENDED

    @property
    def recommended(self) -> dict[str, int]:
        return {title: values[self.estimator] for title, values in self.estimates.items()}


def run(config: EstimateKConfig, context: Context) -> EstimateKResult:
    """Estimate K of each subset from its pairs and an over-clustering; write `k.json`.

    Pairs by a metric need no clustering; if the settings name one, it adds the estimate `ndc`. Probe classes add the
    estimate `probe`. Raises InputError for assignments that were made from other pairs, with a known or estimated K, or
    with labels, and the errors of `read_probe`.
    """
    path, pairs_path = context.find(config.assignments or ASSIGNMENTS), context.find(config.pairs)
    present = read_hdf5(pairs_path, "pairs") if pairs_path.exists() else None
    by_metric = present is not None and any("z" in group for group in present[1].values())
    over_clustered = None
    if config.assignments is not None or not by_metric:
        over_clustered = read_assignments(path)
        check_over_clustered(over_clustered[0], path)
    # Without the file this raises the error that says how to make it.
    pairs_header, groups = present or read_hdf5(pairs_path, "pairs")
    header, assignments = over_clustered or (pairs_header, dict[str, Assignment]())
    if assignments and header.inputs.get("pairs") != sha256(pairs_path):
        flag = "" if config.pairs == EstimateKConfig.pairs else f" --pairs {shlex.quote(config.pairs)}"
        raise InputError(f"{path}: was not made from {pairs_path}; run: clusterkit cluster --k 100{flag}")
    if pairs_path.parent == context.workdir:
        check_made_from(pairs_header, pairs_path, "g", g_of(pairs_header, pairs_path))
    estimator = RECOMMENDED_OF_METRIC if by_metric else RECOMMENDED
    share = pairs_header.extra.get("counting", SHARE)
    probe = None if config.probe is None else read_probe(config.probe, pairs_header, pairs_path, groups, context)
    estimates, warnings, compared = {}, [] if probe is None else list(probe.warnings), dict[str, int]()
    for title in assignments or groups:
        pairs, assignment = from_group(groups[title]), assignments.get(title)
        among = 0 if assignment is None else outputs(header, assignment)
        if isinstance(pairs, CosinePairs):
            values, items = estimate_by_metric(assignment, among, pairs, title, context.seed, share)
            warnings += doubts.of_communities(title, values)
        else:
            assert assignment is not None
            items = min(len(pairs), sample.LARGEST)
            values = estimate(assignment, among, pairs, title, context.seed)
            warnings += doubts.of_k(title, values, values[estimator], none_empty(header, assignment))
        if len(pairs) > items:
            compared[title] = items
            log.info("estimate-k %s: pairs of %d of the %d items are used", title, items, len(pairs))
        if probe is not None:
            values = with_spread({**values, "probe": probe.estimate(title, among or OUTPUTS, context)})
        estimates[title] = values
        log.info("estimate-k %s: %s", title, " ".join(f"{name} {value}" for name, value in values.items()))
    result = EstimateKResult(context.path(OUTPUT), estimates, warn_all(warnings), estimator)
    inputs = {"pairs": sha256(pairs_path), **({"assignments": sha256(path)} if assignments else {})}
    extra: dict[str, Any] = {"learned_from": learned_from(pairs_header, pairs_path)}
    device = "cpu"
    if probe is not None:
        inputs, device = {**inputs, **probe.inputs}, describe(choose_device(context.device))
        extra["probe"] = probe.fields
    if compared:
        extra["compared"] = compared
    new_header = Header("k", "estimate-k", resolved(config), context.seed, device, header.dataset, inputs, extra)
    content = {"estimates": estimates, "recommended": result.recommended, "estimator": estimator}
    write_json(result.artifact, new_header, content)
    return result


def check_over_clustered(header: Header, path: Path) -> None:
    """Raise InputError for assignments that depend on the true or estimated K, or that `cluster` did not make.

    Warn if their networks were trained with labels of the target.
    """
    label_use = beside_training(header)
    if label_use == "no" and header.config.get("k") == CountedBy.LABELS:
        label_use = "number of classes"
    if label_use != "no":
        raise InputError(
            f"{path}: used the target's labels ({label_use}), so it gives no estimate; run: clusterkit cluster --k 100"
        )
    all_label_use = str(header.extra.get("uses_target_labels", "no"))
    if all_label_use != "no":
        log.warning(
            "%s: used the target's labels (%s), so its estimate does not hold for unseen categories",
            path,
            all_label_use,
        )
    if header.config.get("k") == CountedBy.ESTIMATE:
        raise InputError(
            f"{path}: was made with an estimated K, so it gives no new estimate; run: clusterkit cluster --k 100"
        )
    if header.stage != "cluster":
        raise InputError(f"{path}: was made by {header.stage}, not by cluster; run: clusterkit cluster --k 100")


def estimate(assignment: Assignment, among: int, pairs: PairSource, title: str, seed: int) -> dict[str, int]:
    """Return K by each estimator, and `spread`, the largest minus the smallest.

    All estimators but the eigengap ignore groups smaller than N / `among`, the mean size of an output's group.
    """
    subset_seed = derive_seed(seed, "estimate-k", title)
    # The order is random even if all items are used, because linkage breaks ties by position.
    chosen = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(subset_seed))[: sample.LARGEST]
    logits = logit_matrix(pairs, chosen).double()
    smallest = max(2, len(chosen) / among)
    estimates = {
        "ndc": ndc(assignment.cluster, among),
        "eigengap": eigengap(logits.sigmoid().numpy()),
        "linkage": linkage_count((logits - LESS).sigmoid().numpy(), smallest),
        "consensus": linkage_count(consensus(logits.numpy(), subset_seed), smallest),
    }
    return with_spread(estimates)


def estimate_by_metric(
    assignment: Assignment | None, among: int, pairs: CosinePairs, title: str, seed: int, share: float
) -> tuple[dict[str, int], int]:
    """Return K by each graph of neighbours, their mean `communities`, `ndc` if there is a clustering, and `spread`.

    `share` is that of the resolution, from G. The second value is the number of items in the graphs.
    """
    estimates, items = count_in_sample(pairs.z.double().numpy(), derive_seed(seed, "estimate-k", title), share)
    if assignment is not None:
        estimates["ndc"] = ndc(assignment.cluster, among)
    return with_spread(estimates), items


def with_spread(values: dict[str, int]) -> dict[str, int]:
    """Return estimates with their `spread`, the largest minus the smallest, in place of an earlier one."""
    estimates = {name: value for name, value in values.items() if name != "spread"}
    return {**estimates, "spread": max(estimates.values()) - min(estimates.values())}
