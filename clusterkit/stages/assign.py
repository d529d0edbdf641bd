"""assign: applies trained networks to other images."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, names_of, write_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_header
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import again, all_used, beside_training, learned_from
from clusterkit.config import AssignConfig, Context, Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.grown import name_digest
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import choose_device, describe
from clusterkit.errors import InputError, UsageError
from clusterkit.features.load import load_like
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import represent
from clusterkit.networks.read import read_with_typical
from clusterkit.networks.typical import UNKNOWN, Typical
from clusterkit.settings import Task

log = logging.getLogger("clusterkit")

OUTPUT = "assigned.h5"
BESIDE = {"ccn.safetensors": "assignments.h5", "adapted.safetensors": "adapted.h5"}
"""The assignments that are written together with a network, by the name of the network's file."""
LISTED = 5
"""The largest number of items that a message names."""

Network = tuple[ClusterNet, Typical]


@dataclass(frozen=True)
class Row:
    """One item: its name or id, its cluster (-1 for none), the cluster's name if it has one, and how sure that is.

    `probability` is that of the most probable cluster. `unlike` says how unlike all clusters the item is, above 1 that
    it is unlike them.
    """

    subset: str
    name: str
    cluster: int
    class_name: str | None
    probability: float
    unlike: float


@dataclass(frozen=True)
class AssignResult:
    """`rows` has one row per item, in order."""

    artifact: Path
    dataset: str
    rows: list[Row]


def run(config: AssignConfig, context: Context) -> AssignResult:
    """Assign images by the networks of `cluster`, `adapt` or `pretrain`; write `assigned.h5`.

    A single network assigns every subset. Of several, each assigns the subset that it was trained on, unless
    `config.subset` names one for all. With `config.unknown`, items that are unlike all clusters are in none. Raises
    UsageError if no network fits a subset, and InputError for a file or data set that is missing, damaged or does not
    match.
    """
    device = choose_device(context.device)
    path = context.find(config.model)
    model_header, networks = read_with_typical(path)
    check_outputs(model_header, path)
    check_beside(model_header, path)
    data = load_target(config, context, next(iter(networks.values()))[0].architecture.shape, model_header)
    assignments, names = {}, {}
    for subset in data.subsets:
        title = choose_network(networks, config, subset.name, path)
        network, typical = networks[title]
        names[subset.name] = names_of(model_header, title)
        if typical is UNKNOWN:
            console.once(
                "%s: does not hold what its clusters look like, so only a probability below one half counts as unlike; "
                "make it again",
                path,
            )
        assignments[subset.name] = assigned(data, subset, network, typical, config, device)
    rows = rows_of(data, assignments, names, config.files)
    tell_unlike(rows, data)
    fields = data.to_header()
    trained = warn_of_training({path.name: learned_from(model_header, path)}, fields)
    extra: dict[str, Any] = {
        "uses_target_labels": all_used(beside_training(model_header), trained),
        "classes": model_header.extra.get("classes"),
    }
    if "names" in model_header.extra:
        extra["names"] = {title: each for title, each in names.items() if each is not None}
    config = replace(config, dataset=data.name, files=data.listed)  # no file names an absolute path
    header = Header(
        "assignments", "assign", resolved(config), context.seed, describe(device),
        fields, {"model": sha256(path)}, extra,
    )  # fmt: skip
    output = context.path(OUTPUT)
    write_assignments(output, header, assignments)
    return AssignResult(output, data.name, rows)


def check_outputs(header: Header, path: Path) -> None:
    """Raise InputError for a network whose outputs are neither clusters nor classes."""
    if header.config.get("task") == Task.ROTATION:
        raise InputError(
            f"{path}: tells rotations of an image apart, not clusters or classes; name another --model, or use its "
            "backbone with cluster --init"
        )


def check_beside(header: Header, path: Path) -> None:
    """Raise InputError if the file beside a network that should hold its clusters holds those of another."""
    if path.name not in BESIDE:
        return
    clusters = path.with_name(BESIDE[path.name])
    if not clusters.exists() or read_header(clusters, "assignments").inputs.get(header.format) == sha256(path):
        return
    raise InputError(
        f"{path}: is not the network of the clusters in {clusters}; run: {again(header, path)}, or move the network to "
        "another folder to use it without them"
    )


def load_target(config: AssignConfig, context: Context, shape: tuple[int, ...], model: Header) -> Dataset:
    """Load the data set or the image files in the shape that a network reads.

    Raises UsageError for flags of reading a folder with image files that were named one by one.
    """
    flags = replace(context.reading, skip_bad=False).flags()
    if config.files and flags:
        raise UsageError(f"{flags[0]}: works only with a folder; leave it out or name folder:PATH as the data set")
    return load_like(config.dataset, shape, context, model.dataset, files=[Path(file) for file in config.files])


def assigned(
    data: Dataset, subset: Subset, network: ClusterNet, typical: Typical, config: AssignConfig, device: torch.device
) -> Assignment:
    """Return the clusters of a subset, and how unlike all clusters each item is."""
    probs, unlikes = [], []
    for hidden, prob in represent(network.to(device), subset.to(device), device):
        probs.append(prob)
        unlikes.append(typical.unlike(hidden, prob))
    network.cpu()  # makes room for the next network
    prob, unlike = torch.cat(probs), torch.cat(unlikes)
    cluster = prob.argmax(1).int()
    if config.unknown:
        cluster[unlike > 1] = -1
    return Assignment(subset.ids.numpy(), cluster.numpy(), prob.numpy(), name_digest(data, subset), unlike.numpy())


def choose_network(networks: dict[str, Network], config: AssignConfig, subset: str, path: Path) -> str:
    """Return the name of the network for a subset.

    Raises UsageError if several networks exist and none has the wanted name.
    """
    name = config.subset or (subset if subset in networks else None)
    if name is None and len(networks) == 1:
        return next(iter(networks))
    if name not in networks:
        raise UsageError(
            f"{path} holds {len(networks)} networks and none for '{name or subset}'; "
            f"choose one with --subset: {', '.join(networks)}"
        )
    return name


def rows_of(
    data: Dataset, assignments: dict[str, Assignment], names: Mapping[str, Sequence[str | None] | None],
    typed: Sequence[str] = (),
) -> list[Row]:  # fmt: skip
    """Return one row per item.

    `names` are those of the clusters by subset, and `typed` the paths of files that were named one by one, as the rows
    have them.
    """
    rows, words = [], {Path(word): console.printable(word) for word in typed}
    for subset in data.subsets:
        assignment = assignments[subset.name]
        titles = names[subset.name]
        assert assignment.unlike is not None
        parts = (assignment.cluster, assignment.prob.max(1), assignment.unlike)
        values = zip(*(part.tolist() for part in parts), strict=True)
        for position, (cluster, probability, unlike) in enumerate(values):
            title = words[subset.files[position]] if words and subset.files else subset.title(position)
            name = None if titles is None or cluster < 0 else titles[cluster]
            rows.append(Row(subset.name, title, cluster, name, probability, unlike))
    return rows


def tell_unlike(rows: list[Row], data: Dataset) -> None:
    """Log how many items are unlike all clusters, and the names of the first."""
    unlike = [row.name for row in rows if row.unlike > 1]
    if not unlike:
        return
    kind = "items" if data.kind is Kind.VECTORS else "pictures"
    more = f" and {len(unlike) - LISTED} more" if len(unlike) > LISTED else ""
    log.info(
        "assign: %d of %d %s %s unlike all clusters: %s%s",
        len(unlike), len(rows), kind, "is" if len(unlike) == 1 else "are", ", ".join(unlike[:LISTED]), more,
    )  # fmt: skip
