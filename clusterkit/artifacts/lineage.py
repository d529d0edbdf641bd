"""The origin of artifacts: which files they were made from, and which labels their networks learned."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clusterkit import __version__
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.flags import typed_settings, unusual, words_of
from clusterkit.artifacts.header import WRITERS, Header, canonical
from clusterkit.artifacts.own_data import found, settled
from clusterkit.config import CHARACTERS_FILE, G_FILE, OWN_G, Context, Recipe
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import Reading

IN_TRAINING = "labels, in the training of "
"""The part of `uses_target_labels` before the names of the networks that learned labels of the target."""
BETWEEN = "; "
"""The separator between the parts of `uses_target_labels`."""

RECIPE = "recipe"
"""The header's field with the recipe that later stages go on with."""
ALONE = "alone"
"""The header entry of a self-trained G that learned T alone, without A."""

Learned = dict[str, list[dict[str, Any]]]
"""By name of network, the `dataset` objects of the sets whose labels it learned."""


def made_from(header: Header, name: str, path: Path) -> bool:
    """Return whether the file at `path` is the input `name` that a header records.

    Returns True if the file or the record is missing.
    """
    recorded = header.inputs.get(name)
    return recorded is None or not path.exists() or sha256(path) == recorded


def check_made_from(header: Header, made: Path, name: str, path: Path) -> None:
    """Raise InputError if `made` was made from another file than the present one at `path`."""
    if not made_from(header, name, path):
        raise InputError(f"{made}: was made from another {path.name} than {path}; run: {again(header, made)}")


def g_of(header: Header, made: Path) -> Path:
    """Return the path of the G that an artifact was made from: the file beside it with the recorded name, or ours."""
    name = header.config.get("g", G_FILE)
    return CHARACTERS_FILE if name == OWN_G else made.with_name(name)


def learned_from(header: Header, path: Path) -> list[dict[str, Any]]:
    """Return the `dataset` objects of the sets whose labels the networks behind the artifact at `path` learned.

    Older headers do not list them. Then they are the set of a G or a classifier, the source of an adapted network, or
    the sets of the G beside the pairs.
    """
    if "learned_from" in header.extra:
        return list(header.extra["learned_from"])
    if header.format in ("g", "pretrained"):
        return [header.dataset]
    if header.format == "pairs":
        g_path = g_of(header, path)
        is_same = g_path.exists() and sha256(g_path) == header.inputs.get("g")
        return learned_from(read_checkpoint(g_path, "g")[0], g_path) if is_same else []
    return [header.extra["source"]] if header.extra.get("source") else []


def learned_by(features: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the `dataset` objects of the sets whose labels fixed backbones learned, from their header entries."""
    return distinct(*(entry.get("learned_from", []) for entry in features))


def distinct(*lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the distinct objects of several lists, in order."""
    objects = [entry for entries in lists for entry in entries]
    return [entry for number, entry in enumerate(objects) if entry not in objects[:number]]


def joined(*parts: Learned) -> Learned:
    """Return the union of several `Learned`; networks of the same name are merged."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: distinct(*(part.get(name, []) for part in parts)) for name in names}


def all_used(*uses: str) -> str:
    """Return the union of several values of `uses_target_labels` as one value."""
    parts = dict.fromkeys(part for value in uses for part in value.split(BETWEEN) if part != "no")
    return BETWEEN.join(parts) or "no"


def beside_training(header: Header) -> str:
    """Return a header's `uses_target_labels` without the part about the training of networks."""
    parts = str(header.extra.get("uses_target_labels", "no")).split(BETWEEN)
    return BETWEEN.join(part for part in parts if not part.startswith(IN_TRAINING)) or "no"


def follows_recipe(header: Header) -> bool:
    """Return whether a G, or the G of pairs, learned characters by the best recipe, which later stages go on with."""
    return bool(header.extra.get(RECIPE) == Recipe.BEST)


def target_of(g: Header, dataset: str | None) -> str:
    """Return `dataset` or, if it is None, the target of G's training set. Raises UsageError if both are None."""
    name = dataset or g.extra.get("target")
    if name is None:
        raise UsageError(f"name the data set: {g.dataset['name']}, on which G was trained, has no default target")
    return str(name)


def check_dataset(
    header: Header, path: Path, name: str, fingerprint: str, reading: Reading | None = None, changes: str = ""
) -> None:
    """Raise InputError if an artifact was made from another data set, or from other content of the same set.

    `reading` is how the set is read now; None means as the header records. `changes` says what is other content.
    """
    if header.dataset.get("fingerprint") == fingerprint:
        return
    name, recorded = found(name, Path()), Reading.recorded(header.dataset).unlabelled
    reading = recorded if reading is None else reading.unlabelled
    if (header.dataset.get("name"), recorded) == (name, reading):
        changes = f" ({changes})" if changes else ""
        title = "the named files" if header.dataset.get("files") else name
        raise InputError(
            f"{path}: the content of {title} has changed since this file was made{changes}; run: {again(header, path)}"
        )
    before = " ".join([str(header.dataset.get("name")), *recorded.flags()])
    now = " ".join([name, *reading.flags()])
    raise InputError(f"{path}: was made from {before}, not from {now}; run: {again(header, path, name, reading)}")


def again(header: Header, made: Path, dataset: str | None = None, reading: Reading | None = None) -> str:
    """Return the command that makes the artifact at `made` again, from the same files or with another data set.

    Its settings are those of the header, in which files have their bare names. `reading` is how the other set is read.
    """
    config = header.config
    if reading is None:
        reading = Reading.recorded(header.extra.get("self_trained_on", header.dataset))
    elif header.stage != "cluster":
        # No other stage that is repeated with another set reads its labels.
        reading = reading.unlabelled
    if header.stage == "adapt" or (header.stage == "cluster" and "source" in header.extra and reading.labels is None):
        # A target is read without the file of labels if the source has it.
        reading = replace(reading, labels=Reading.recorded(header.extra.get("source") or header.dataset).labels)
    match header.stage:
        case "adapt":
            words = [config.get("source", "SOURCE"), dataset or config.get("target", "TARGET")]
        case "pretrain" | "train-critic":
            words = [dataset or header.dataset.get("name", "DATASET"), *config.get("others", [])]
        case "self-train":
            words = [config.get("dataset", "DATASET")]
        case "assign" if config.get("files"):
            words = ["FILE..."]
        case _:
            words = [dataset or header.dataset.get("name", "DATASET")]
    names = unusual(header)
    if dataset not in (None, header.dataset.get("name")):
        # Constraints and examples are of the items of one set.
        names = [name for name in names if not name.startswith(("constraint", "examples"))]
    words += [*words_of(typed_settings(header), names), *reading.flags()]
    if made.name in WRITERS and made.parent != Context.workdir:
        words += ["--workdir", str(made.parent)]
    return shlex.join(["clusterkit", header.stage, *words])


def run_key(*parts: object) -> str:
    """Return one hash of everything that a run depends on, including the versions of clusterkit and torch.

    The user's own data count by their real path, not by the path that was typed.
    """
    values = [settled(part) for part in parts]
    return hashlib.sha256(canonical([*values, __version__, torch.__version__]).encode()).hexdigest()
