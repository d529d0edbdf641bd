"""estimate-k: how many categories there are, by several estimators that use no label."""

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
from clusterkit.device import derive_seed
from clusterkit.errors import InputError
from clusterkit.methods.common.consensus import LARGEST, consensus
from clusterkit.methods.common.outputs import finds_k, outputs
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

    @property
    def recommended(self) -> dict[str, int]:
        return {title: values[RECOMMENDED] for title, values in self.estimates.items()}


def run(config: EstimateKConfig, context: Context) -> EstimateKResult:
    """Count dominant clusters, the eigengap and the groups of two linkages of each subset; write `k.json`.

    Raises InputError for assignments made at a known K, which would give it back, or from other pairs.
    """
    path, pairs_path = context.find(config.assignments), context.find(config.pairs)
    header, assignments = read_assignments(path)
    check_over_clustered(header, path)
    pairs_header, groups = read_hdf5(pairs_path, "pairs")
    if header.inputs.get("pairs") != sha256(pairs_path):
        pairs = "" if config.pairs == EstimateKConfig.pairs else f" --pairs {shlex.quote(config.pairs)}"
        raise InputError(f"{path}: was not made from {pairs_path}; run: clusterkit cluster --k 100{pairs}")
    estimates = {}
    for title, assignment in assignments.items():
        among = outputs(header, assignment)
        estimates[title] = estimate(assignment, among, from_group(groups[title]), title, context.seed)
        shown = " ".join(f"{name} {value}" for name, value in estimates[title].items())
        log.info("estimate-k %s: %s", title, shown)
        if estimates[title]["ndc"] == among and not finds_k(header):
            log.warning("%s: all %d clusters are in use; cluster again with a larger --k", title, assignment.k)
    result = EstimateKResult(context.path(OUTPUT), estimates)
    inputs = {"assignments": sha256(path), "pairs": sha256(pairs_path)}
    extra = {"learned_from": learned_from(pairs_header, pairs_path)}
    written = Header("k", "estimate-k", resolved(config), context.seed, "cpu", header.dataset, inputs, extra)
    content = {"estimates": estimates, "recommended": result.recommended, "estimator": RECOMMENDED}
    write_json(result.artifact, written, content)
    return result


def check_over_clustered(header: Header, path: Path) -> None:
    """Raise InputError where the assignments know how many classes there are, or are not a clustering at all.

    Of networks that were trained with labels of the target it is only warned.
    """
    given = beside_training(header)
    if given == "no" and header.config.get("k") == CountedBy.LABELS:
        given = "number of classes"
    if given != "no":
        raise InputError(
            f"{path}: was made with the target's {given}, which is no estimate; run: clusterkit cluster --k 100"
        )
    used = str(header.extra.get("uses_target_labels", "no"))
    if used != "no":
        log.warning("%s: was made with the target's %s, so this is no estimate for unseen categories", path, used)
    if header.config.get("k") == CountedBy.ESTIMATE:
        raise InputError(
            f"{path}: was made with an estimated K, which it would give back; run: clusterkit cluster --k 100"
        )
    if header.stage != "cluster":
        raise InputError(f"{path}: was made by {header.stage}; run: clusterkit cluster --k 100")


def estimate(assignment: Assignment, among: int, pairs: PairSource, title: str, seed: int) -> dict[str, int]:
    """Return K by each estimator and `spread`, the largest less the smallest.

    All but the eigengap count no group smaller than the items spread evenly over so many outputs.
    """
    own = derive_seed(seed, "estimate-k", title)
    # In a random order also where all are taken: linkage breaks ties by position.
    some = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(own))[:LARGEST]
    logits = logit_matrix(pairs, some).double()
    smallest = max(2, len(some) / among)
    found = {
        "ndc": ndc(assignment.cluster, among),
        "eigengap": eigengap(logits.sigmoid().numpy()),
        "linkage": linkage_count((logits - LESS).sigmoid().numpy(), smallest),
        "consensus": linkage_count(consensus(logits.numpy(), own), smallest),
    }
    return {**found, "spread": max(found.values()) - min(found.values())}
