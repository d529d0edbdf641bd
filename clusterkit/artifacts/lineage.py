"""Whether artifacts in one work folder were made from each other."""

import hashlib
import shlex
from pathlib import Path
from typing import Any

import torch

from clusterkit import __version__
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, canonical
from clusterkit.artifacts.own_data import found, settled
from clusterkit.config import G_FILE, AssignConfig
from clusterkit.errors import InputError, UsageError

IN_TRAINING = "labels, in the training of "
"""How `uses_target_labels` begins where networks learned from labels of the target; their names follow."""
BETWEEN = "; "
"""What stands between several things that were taken from the target's labels."""

Learned = dict[str, list[dict[str, Any]]]
"""By the name of a network, the `dataset` objects of the sets whose labels it learned from."""


def made_from(header: Header, name: str, path: Path) -> bool:
    """Return whether the file at `path`, where there is one, is the input `name` that a header records."""
    recorded = header.inputs.get(name)
    return recorded is None or not path.exists() or sha256(path) == recorded


def check_made_from(header: Header, made: Path, name: str, path: Path) -> None:
    """Raise InputError where `made` came from another file than the one that lies at `path` now."""
    if not made_from(header, name, path):
        raise InputError(f"{made}: was made from another {path.name} than {path}; run: {again(header)}")


def g_of(header: Header, made: Path) -> Path:
    """Return where the G is that an artifact was made from: beside it, under the name by which it was given."""
    return made.with_name(header.config.get("g", G_FILE))


def learned_from(header: Header, path: Path) -> list[dict[str, Any]]:
    """Return the `dataset` objects of the sets whose labels the networks behind the artifact at `path` learned from.

    One that does not list them may tell them otherwise: a G and a classifier by what they are of, an adapted network
    by its source, and pairs by the G beside them.
    """
    if "learned_from" in header.extra:
        return list(header.extra["learned_from"])
    if header.format in ("g", "pretrained"):
        return [header.dataset]
    if header.format == "pairs":
        g_path = g_of(header, path)
        known = g_path.exists() and sha256(g_path) == header.inputs.get("g")
        return learned_from(read_checkpoint(g_path, "g")[0], g_path) if known else []
    return [header.extra["source"]] if "source" in header.extra else []


def distinct(*lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects of several lists, each once."""
    every = [each for one in lists for each in one]
    return [each for number, each in enumerate(every) if each not in every[:number]]


def joined(*parts: Learned) -> Learned:
    """Return what several networks learned from; of one name, what any of them did."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: distinct(*(part.get(name, []) for part in parts)) for name in names}


def all_used(*used: str) -> str:
    """Return several values of `uses_target_labels` as one, which names each thing that was used once."""
    parts = dict.fromkeys(part for words in used for part in words.split(BETWEEN) if part != "no")
    return BETWEEN.join(parts) or "no"


def beside_training(header: Header) -> str:
    """Return a header's `uses_target_labels` without what networks learned in their training."""
    parts = str(header.extra.get("uses_target_labels", "no")).split(BETWEEN)
    return BETWEEN.join(part for part in parts if not part.startswith(IN_TRAINING)) or "no"


def target_of(g: Header, dataset: str | None) -> str:
    """Return the data set asked for, or the target of the one G was trained on. Raises UsageError for neither."""
    name = dataset or g.extra.get("target")
    if name is None:
        raise UsageError(f"name the data set: {g.dataset['name']}, which G was trained on, has no target")
    return str(name)


def check_dataset(header: Header, path: Path, name: str, fingerprint: str) -> None:
    """Raise InputError where an artifact was made from other data than the set that was read."""
    if header.dataset.get("fingerprint") == fingerprint:
        return
    name = found(name, Path())
    if header.dataset.get("name") == name:
        raise InputError(f"{path}: {name} has other content now than when this was made; run: {again(header)}")
    raise InputError(f"{path}: is of {header.dataset.get('name')}, not of {name}; run: {again(header, name)}")


def again(header: Header, dataset: str | None = None) -> str:
    """Return the command that makes an artifact again from files of the same names, or makes it of another data set."""
    config = header.config
    match header.stage:
        case "adapt":
            words = [config["source"], dataset or config["target"]]
        case "self-train":
            words = [config["dataset"]]
        case _:
            words = [dataset or header.dataset.get("name", "DATASET")]
    for name, usual in (("g", G_FILE), ("model", AssignConfig.model), ("subset", None)):
        if config.get(name, usual) != usual:
            words += [f"--{name}", config[name]]
    return shlex.join(["clusterkit", header.stage, *words])


def run_key(*parts: object) -> str:
    """Return one hash of all that a run depends on, the versions of this program and of torch among it.

    A user's own data count by where they lie, not by how they are named or from which folder.
    """
    known = [settled(part) for part in parts]
    return hashlib.sha256(canonical([*known, __version__, torch.__version__]).encode()).hexdigest()
