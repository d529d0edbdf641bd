"""assign: applies trained networks to other images."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clusterkit.artifacts.assignments import Assignment, write_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import all_used, beside_training, learned_from
from clusterkit.config import AssignConfig, Context
from clusterkit.datasets.catalogue import load_like
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import choose_device, describe
from clusterkit.errors import UsageError
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import predict
from clusterkit.networks.read import read_cluster_nets

OUTPUT = "assigned.h5"


@dataclass(frozen=True)
class AssignResult:
    artifact: Path
    dataset: str


def run(config: AssignConfig, context: Context) -> AssignResult:
    """Assign the images of a data set by the networks of `cluster`, `adapt` or `pretrain`; write `assigned.h5`.

    A single network assigns every subset. Of several, each assigns the subset that it was trained on, unless
    `config.subset` names one for all. Raises UsageError if no network fits a subset, and InputError for a file or data
    set that is missing, damaged or does not match.
    """
    device = choose_device(context.device)
    path = context.find(config.model)
    model_header, networks = read_cluster_nets(path)
    first = next(iter(networks.values()))
    data = load_like(
        config.dataset,
        first.architecture.shape,
        context.data,
        offline=context.offline,
        reading=context.reading,
        trained=model_header.dataset,
    )
    assignments = {}
    for subset in data.subsets:
        network = choose_network(networks, config, subset.name, path)
        prob = predict(network.to(device), subset.to(device), device)
        network.cpu()  # makes room for the next network
        assignments[subset.name] = Assignment(subset.ids.numpy(), prob.argmax(1).int().numpy(), prob.numpy())
    fields = data.to_header()
    trained = warn_of_training({path.name: learned_from(model_header, path)}, fields)
    extra: dict[str, Any] = {
        "uses_target_labels": all_used(beside_training(model_header), trained),
        "classes": model_header.extra.get("classes"),
    }
    header = Header(
        "assignments", "assign", resolved(replace(config, dataset=data.name)), context.seed, describe(device),
        fields, {"model": sha256(path)}, extra,
    )  # fmt: skip
    output = context.path(OUTPUT)
    write_assignments(output, header, assignments)
    return AssignResult(output, data.name)


def choose_network(networks: dict[str, ClusterNet], config: AssignConfig, subset: str, path: Path) -> ClusterNet:
    """Return the network for a subset. Raises UsageError if several networks exist and none has the wanted name."""
    name = config.subset or (subset if subset in networks else None)
    if name is None and len(networks) == 1:
        return next(iter(networks.values()))
    if name not in networks:
        raise UsageError(
            f"{path} holds {len(networks)} networks and none for '{name or subset}'; "
            f"choose one with --subset: {', '.join(networks)}"
        )
    return networks[name]
