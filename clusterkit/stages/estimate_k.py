"""estimate-k: estimates the number of categories by several estimators without labels."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

import torch

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import write_json
from clusterkit.artifacts.lineage import beside_training, learned_from
from clusterkit.config import Context, EstimateKConfig
from clusterkit.console import warn_all
from clusterkit.device import derive_seed
from clusterkit.errors import InputError
from clusterkit.methods.common.consensus import LARGEST, consensus
from clusterkit.methods.common.outputs import finds_k, outputs
from clusterkit.metrics import doubts
from clusterkit.metrics.clustering import ndc
from clusterkit.metrics.k_estimates import LESS, eigengap, linkage_count
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.source import PairSource, logit_matrix
from clusterkit.settings import CountedBy

log = logging.getLogger("clusterkit")

OUTPUT = "k.json"
RECOMMENDED = "consensus"


@dataclass(frozen=True)
class EstimateKResult:
    """By subset: each estimator's K, and which is recommended."""

    artifact: Path
    estimates: dict[str, dict[str, int]]
    warnings: list[str]

    @property
    def recommended(self) -> dict[str, int]:
        return {title: values[RECOMMENDED] for title, values in self.estimates.items()}


def run(config: EstimateKConfig, context: Context) -> EstimateKResult:
    """Estimate K of each subset by dominant clusters, the eigengap and two linkages; write `k.json`.

    Raises InputError for assignments that were made from other pairs, with a known or estimated K, or with labels.
    """
    path, pairs_path = context.find(config.assignments), context.find(config.pairs)
    header, assignments = read_assignments(path)
    check_over_clustered(header, path)
    pairs_header, groups = read_hdf5(pairs_path, "pairs")
    if header.inputs.get("pairs") != sha256(pairs_path):
        pairs = "" if config.pairs == EstimateKConfig.pairs else f" --pairs {shlex.quote(config.pairs)}"
        raise InputError(f"{path}: was not made from {pairs_path}; run: clusterkit cluster --k 100{pairs}")
    estimates, warnings = {}, list[str]()
    for title, assignment in assignments.items():
        among = outputs(header, assignment)
        estimates[title] = estimate(assignment, among, from_group(groups[title]), title, context.seed)
        text = " ".join(f"{name} {value}" for name, value in estimates[title].items())
        log.info("estimate-k %s: %s", title, text)
        used = len(set(assignment.cluster.tolist()) - {-1})
        full = assignment.k if used == assignment.k and not finds_k(header) else None
        warnings += doubts.of_k(title, estimates[title], estimates[title][RECOMMENDED], full)
    result = EstimateKResult(context.path(OUTPUT), estimates, warn_all(warnings))
    inputs = {"assignments": sha256(path), "pairs": sha256(pairs_path)}
    extra = {"learned_from": learned_from(pairs_header, pairs_path)}
    new_header = Header("k", "estimate-k", resolved(config), context.seed, "cpu", header.dataset, inputs, extra)
    content = {"estimates": estimates, "recommended": result.recommended, "estimator": RECOMMENDED}
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
    sample = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(subset_seed))[:LARGEST]
    logits = logit_matrix(pairs, sample).double()
    smallest = max(2, len(sample) / among)
    estimates = {
        "ndc": ndc(assignment.cluster, among),
        "eigengap": eigengap(logits.sigmoid().numpy()),
        "linkage": linkage_count((logits - LESS).sigmoid().numpy(), smallest),
        "consensus": linkage_count(consensus(logits.numpy(), subset_seed), smallest),
    }
    return {**estimates, "spread": max(estimates.values()) - min(estimates.values())}
