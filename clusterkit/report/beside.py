"""The files beside assignments that belong to them: the network, the pairs, and the estimates of K."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts import flags
from clusterkit.artifacts.features import FeatureSet, read_features
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Array, read_hdf5, read_header
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.json_file import read_json
from clusterkit.artifacts.lineage import g_of, learned_by, learned_from
from clusterkit.config import CHARACTERS_FILE, G_FILE, PAIRS_FILE, Backbone
from clusterkit.datasets.base import Subset
from clusterkit.errors import InputError
from clusterkit.methods.common.number import ESTIMATES
from clusterkit.networks.backbones import weights_statistics
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.read import read_cluster_nets, read_g
from clusterkit.networks.start import CCN_FILE
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.source import PairSource

NETWORKS = {"cluster": ("ccn", CCN_FILE), "adapt": ("adapted", "adapted.safetensors"), "assign": ("model", "")}
"""By command, the role of its network among the inputs of its assignments, and the name of the network's file."""

LICENCE = (
    "started from ImageNet weights of torchvision. torchvision's code has the BSD-3-Clause licence, but its weights "
    "may be bound by the terms of the images they were trained on; those of ImageNet allow only non-commercial "
    "research and education."
)


@dataclass
class Beside:
    """What was read beside assignments; empty or None where there is nothing, and then `notes` say why.

    `networks` are by subset, and `estimates` hold the K of each estimator by subset. `features` are those of the file
    that was clustered, by subset, and `models` the header entries of the backbones that made them.
    """

    header: Header
    networks: dict[str, ClusterNet] = field(default_factory=dict)
    network_file: str = ""
    pairs: Mapping[str, Mapping[str, Array]] | None = None
    estimates: dict[str, dict[str, int]] | None = None
    features: dict[str, FeatureSet] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    weights: str = ""
    notes: list[str] = field(default_factory=list)

    def network(self, subset: str) -> ClusterNet | None:
        """Return the network that assigned a subset."""
        name = self.header.config.get("subset") or subset
        single = next(iter(self.networks.values())) if len(self.networks) == 1 else None
        return self.networks.get(name, single)

    def pairs_of(self, subset: Subset) -> PairSource | None:
        """Return the pairs of a subset, None if the file has none of these items."""
        group = {} if self.pairs is None else self.pairs.get(subset.name, {})
        if "id" not in group or group["id"].tolist() != subset.ids.tolist():
            return None
        return from_group(group)


def read_beside(header: Header, path: Path) -> Beside:
    """Read what belongs to the assignments at `path`; a file that is missing, damaged or of other content is noted."""
    made, network_header = Beside(header), header
    role, name = NETWORKS.get(header.stage, ("", ""))
    network_path = path.with_name(name or str(header.config.get("model", CCN_FILE)))
    if role in header.inputs and belongs(network_path, header.inputs[role], "no features of the network", made.notes):
        try:
            network_header, made.networks = read_cluster_nets(network_path)
            made.network_file = network_path.name
        except InputError as error:
            made.notes.append(f"{network_path.name} cannot be used, so the page has no features of it: {error}")
    read_pairs(made, path)
    read_feature_file(made, path)
    made.weights = weights_behind(made, {**network_header.inputs, **header.inputs}, pairs_at(network_header, path))
    read_estimates(made, path)
    return made


def belongs(path: Path, digest: str, lost: str, notes: list[str]) -> bool:
    """Return whether a file has the recorded sha256; otherwise note what the page lacks and why."""
    if not path.is_file():
        notes.append(f"{path.name} is not beside the assignments, so the page has {lost}")
        return False
    if sha256(path) != digest:
        notes.append(
            f"{path.name} has changed since the assignments were made from it, so the page has {lost}; "
            "repeat the command that made the assignments"
        )
        return False
    return True


def pairs_at(header: Header, path: Path) -> Path:
    """Return the path of the pairs that the file at `path`, or its network, was made from."""
    return path.with_name(Path(str(header.config.get("pairs") or PAIRS_FILE)).name)


def read_pairs(made: Beside, path: Path) -> None:
    """Read the pairs that the assignments were made from."""
    digest, pairs_path = made.header.inputs.get("pairs"), pairs_at(made.header, path)
    if digest is None:
        made.notes.append(f"clusterkit {made.header.stage} read no file of pairs, so the page has no histogram of them")
    elif belongs(pairs_path, digest, "no histogram of pairs", made.notes):
        try:
            made.pairs = read_hdf5(pairs_path, "pairs")[1]
        except InputError as error:
            made.notes.append(f"{pairs_path.name} cannot be used, so the page has no histogram of pairs: {error}")


def read_feature_file(made: Beside, path: Path) -> None:
    """Read the file of `embed` whose features were clustered, if there is one."""
    name = str(flags.settings_of(made.header).get("features"))
    if "features" not in made.header.inputs or not name.endswith(".h5"):
        return
    file = path.with_name(name)
    if belongs(file, made.header.inputs["features"], "no features of it", made.notes):
        try:
            header, made.features = read_features(file)
            made.models = header.dataset.get("features", [])
        except InputError as error:
            made.notes.append(f"{name} cannot be used, so the page has no features of it: {error}")


def weights_behind(made: Beside, inputs: Mapping[str, str], pairs_path: Path) -> str:
    """Return what the files tell of pretrained weights behind assignments.

    `inputs` are those of the assignments and of their network, if there is one.
    """
    if models := made.models or made.header.dataset.get("features"):
        named = " and ".join(
            f"{one['name']} (licence: {one['licence'] or 'not stated'}{trained_on(learned_by([one]))})"
            for one in models
        )
        text = f"The features of the pictures are those of {named}."
        by_metric = bool(made.header.dataset.get("features"))
        inputs = {} if by_metric else {role: inputs[role] for role in inputs.keys() & {"g", "pairs"}}
        return f"{text} Of the pairs: {of_networks(made, inputs, pairs_path)}" if inputs else text
    return of_networks(made, inputs, pairs_path)


def of_networks(made: Beside, inputs: Mapping[str, str], pairs_path: Path) -> str:
    """Return what the files tell of the pretrained weights of trained networks."""
    means = {network.architecture.mean for network in made.networks.values()}
    g_mean, behind = g_behind(inputs, pairs_path)
    # Every network that descends from ImageNet weights keeps their standardisation.
    if weights_statistics(Backbone.RESNET18)[0] in means | {g_mean} or "weights" in inputs:
        return f"A network behind these clusters {LICENCE}"
    roles = inputs.keys() - {"constraints", "examples", "k"}
    if not roles:
        return "None: no network was used."
    if not means and roles - {"g", "pairs"}:
        return "Unknown: the network behind these clusters does not lie beside them."
    if g_mean is None and roles & {"g", "pairs"}:
        return "Unknown: the G behind these clusters, or its file of pairs, does not lie beside them."
    if sha256(CHARACTERS_FILE) in {*inputs.values(), *behind}:
        learned = learned_from(read_g(CHARACTERS_FILE)[0], CHARACTERS_FILE)
        return f"Those of the G of clusterkit (licence: MIT{trained_on(learned)})."
    return "No pretrained weights: the networks behind these clusters started from random ones."


def trained_on(learned: list[dict[str, Any]]) -> str:
    """Return the end of a description of weights: the names of the sets whose labels they learned, if there are any."""
    return ", trained on " + " and ".join(fields["name"] for fields in learned) if learned else ""


def g_behind(inputs: Mapping[str, str], pairs_path: Path) -> tuple[tuple[float, ...] | None, set[str]]:
    """Return the means by which G standardises images, and the hashes of its file and of those it was made from.

    They are None and empty if there is no G, or if it does not lie beside.
    """
    digest, g_path = inputs.get("g"), pairs_path.with_name(G_FILE)
    with suppress(InputError):
        if "pairs" in inputs and sha256(pairs_path) == inputs["pairs"]:
            header = read_header(pairs_path, "pairs")
            digest, g_path = header.inputs.get("g"), g_of(header, pairs_path)
        if digest is not None and sha256(g_path) == digest:
            header, network = read_g(g_path)
            return network.architecture.mean, {digest, *header.inputs.values()}
    return None, set()


def read_estimates(made: Beside, path: Path) -> None:
    """Read the estimates of K from these assignments, or those that gave their K."""
    k_path = path.with_name(ESTIMATES)
    if not k_path.is_file():
        made.notes.append(f"{ESTIMATES} is not beside the assignments, so the page has no estimates of K")
        return
    try:
        k_header, content = read_json(k_path, "k")
    except InputError as error:
        made.notes.append(f"{ESTIMATES} cannot be used, so the page has no estimates of K: {error}")
        return
    by_pairs = "assignments" not in k_header.inputs and k_header.inputs.get("pairs", "") == made.header.inputs.get(
        "pairs"
    )
    if by_pairs or k_header.inputs.get("assignments") == sha256(path) or made.header.inputs.get("k") == sha256(k_path):
        made.estimates = content["estimates"]
    else:
        source = "assignments" if "assignments" in k_header.inputs else "pairs"
        made.notes.append(f"{ESTIMATES} was made from other {source}, so the page has no estimates of K")


def logits_of(pairs: PairSource, seed: int, most: int) -> NDArray[np.float32]:
    """Return the known logits (P,) of the pairs of different items among at most `most` random items."""
    import torch

    chosen = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))[:most]
    rows, columns = torch.triu_indices(len(chosen), len(chosen), 1)
    logits = torch.cat([pairs.logits(part, chosen) for part in chosen.split(512)])[rows, columns].numpy()
    known: NDArray[np.float32] = logits[~np.isnan(logits)]
    return known


def settings_of(header: Header) -> list[tuple[str, Any]]:
    """Return the settings of the command behind a file as pairs of a name and a value, the seed and the device last."""
    settings = {name: value for name, value in header.config.items() if name != "options"}
    settings |= header.config.get("options") or {}
    shown = [(name.replace("_", " "), value) for name, value in settings.items() if value is not None]
    used = header.extra.get("uses_target_labels")
    return [
        *shown, ("seed", header.seed), ("device", header.device), *header.versions.items(),
        *([("uses the labels of the target", used)] if used is not None else []),
    ]  # fmt: skip
