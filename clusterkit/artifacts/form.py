"""The types of what files hold, as docs/artifacts.md lists them: a file that does not have them is refused.

A digest shows that a file is as it was written, not that its writer knew the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.config import BatchNorm, Recipe, Variation

OBJECT: Any = {}
"""An object with any members."""
EMPTY: Any = {str: ()}
"""An object without members: none has a type that is one of no types."""
TEXTS: Any = {str: str}


@dataclass(frozen=True)
class Needed:
    """The type of a member that no such object lacks."""

    form: Any


MODES = frozenset({"border", "center", "squash"})
INTERPOLATIONS = frozenset({"bicubic", "bilinear", "box", "hamming", "lanczos", "nearest", "nearest-exact"})
DATASET: Any = {
    "name": Needed(str), "fingerprint": Needed(str), "labels": str, "size": (int, None), "channels": (int, None),
    "files": [str], "inverted": bool, "bright_ink": bool,
    "reading": {"flat": bool, "sniff": bool, "skip_bad": bool, "keep_duplicates": bool, "pixel_max": float,
                "labels": str},
    "features": [{
        "name": Needed(str), "sha256": Needed(str), "licence": Needed(str), "weights": (str, None),
        "width": Needed(int), "size": Needed(int), "crop": Needed(float), "mode": Needed(MODES),
        "interpolation": Needed(INTERPOLATIONS), "mean": Needed([float]), "std": Needed([float]), "blocks": int,
        "map": [int], "learned_from": [{"name": Needed(str), "fingerprint": Needed(str)}],
    }],
}  # fmt: skip
ARCHITECTURE: Any = {
    "backbone": (str, None), "head": str, "shape": [int], "mean": ([float], float), "std": ([float], float),
    "limit": (float, None), "hidden": int, "outputs": int, "members": int, "width": (int, None),
    "tail": (OBJECT, None),
}  # fmt: skip
CONFIG: Any = {
    "automatic": bool, "bn": BatchNorm, "dataset": (str, None, [str]), "features": (str, None), "g": (str, None),
    "k": (int, str), "method": (str, None), "model": str, "options": (OBJECT, None), "others": [str],
    "pairs": (str, None), "recipe": (Recipe, None), "source": (str, None), "subset": (str, None),
    "target": (str, None), "task": str, "variation": (Variation, None),
}  # fmt: skip
EXTRA: Any = {
    "alone": bool, "classes": ([str], None), "compared": {str: int}, "constraints": ({str: {str: {str: int}}}, None),
    "correction": OBJECT, "counting": float, "critic": OBJECT, "diagnostics": {str: (float, None)},
    "health": {str: {str: (float, None)}}, "held_out": {str: (float, None)}, "history": ([OBJECT], OBJECT),
    "learned_from": [DATASET], "names": ({str: [(str, None)]}, None), "network": ARCHITECTURE,
    "networks": {str: ARCHITECTURE}, "others": [DATASET], "self_trained_on": DATASET, "shape": [int],
    "source": (DATASET, None), "steps": int, "target": (str, OBJECT, None), "training": OBJECT,
    "uses_target_labels": str,
}  # fmt: skip
HEADER: Any = {
    "format": Needed(str), "version": Needed(int), "stage": Needed(str), "config": Needed(CONFIG),
    "seed": Needed(int), "dataset": Needed(DATASET), "inputs": Needed(TEXTS), "versions": Needed(TEXTS),
    "device": Needed(str), "extra": Needed(EXTRA), "digest": Needed(str),
}  # fmt: skip
"""The types of a header. `float` is any number, a tuple lists what is allowed, and None is null.

A list has items of one type. An object with the key `str` has members of one type; of others, members not named here
are free. An enumeration and a set allow their values.
"""
STATE = HEADER | {"dataset": Needed(EMPTY)}
"""The types of the header of the state of a training."""
CONTENTS: Any = {
    "k": {"estimates": {str: {str: int}}, "estimator": str, "recommended": {str: int}},
    "evaluation": {
        "subsets": {str: {str: (float, None)}}, "mean": {str: (float, None)}, "notes": TEXTS, "unlabelled": {str: int},
        "per_class": {str: {str: float}}, "confusion": {str: {str: {str: int}}},
    },
}  # fmt: skip
"""The types of the members of JSON files."""
NEEDED_MEMBERS = {"k": {"estimates", "estimator", "recommended"}, "evaluation": {"subsets", "mean", "notes"}}
"""The members that none of these files lacks."""
NAMED = {"id": ("<i8", "N"), "name_digest": ("<u8", "N")}
ARRAYS = {
    "assignments": NAMED | {"cluster": ("<i4", "N"), "prob": ("<f4", "NK"), "unlike": ("<f4", "N")},
    "features": NAMED | {"x": ("<f4", "ND")},
    "pairs": NAMED | {
        "logit": ("<f2", "NN"), "u": ("<f4", "NH"), "v": ("<f4", "NH"), "weight": ("<f4", "H"), "bias": ("<f4", "1"),
        "z": ("<f4", "NW"), "scale": ("<f4", "1"),
    },
}  # fmt: skip
"""The type and the shape of the arrays of each subset; equal letters are equal lengths."""
NEEDED = {
    "assignments": [{"id", "cluster", "prob"}],
    "features": [{"id", "x"}],
    "pairs": [{"id", "logit"}, {"id", "u", "v", "weight", "bias"}, {"id", "z", "scale", "bias"}],
}
"""The arrays of which each subset has one set at least."""
ROUNDED = 1e-3
"""A probability may be above 1 by this."""


def misfit(format: str, groups: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> str | None:
    """Return what is wrong with the arrays of a format, None if nothing is."""
    if format not in ARRAYS:
        return None
    if not groups:
        return "holds no subset"
    return next((fault for title, group in groups.items() if (fault := _misfit(format, title, group))), None)


def _misfit(format: str, title: str, group: Mapping[str, NDArray[np.generic]]) -> str | None:
    if not any(needed <= group.keys() for needed in NEEDED[format]):
        return f"{title} lacks arrays; it needs {' or '.join(', '.join(sorted(each)) for each in NEEDED[format])}"
    lengths = {"1": 1}
    for name, (dtype, shape) in ARRAYS[format].items():
        if name not in group:
            continue
        found = group[name].shape
        is_alike = len(found) == len(shape) and all(
            lengths.setdefault(letter, length) == length for letter, length in zip(shape, found, strict=True)
        )
        is_typed = group[name].dtype.kind == np.dtype(dtype).kind  # precision may follow that of the items
        if not (is_typed and is_alike):
            wanted = ", ".join(
                letter if letter == "1" else f"{letter} = {lengths.get(letter, '?')}" for letter in shape
            )
            return f"{title}/{name} is {group[name].dtype.str} of shape {found}, not {dtype} of ({wanted})"
    ids = group["id"]
    if len(np.unique(ids)) < len(ids):
        return f"{title}/id names an item twice"
    if format == "assignments" and len(ids):
        cluster, prob = group["cluster"], group["prob"]
        if cluster.min() < -1 or cluster.max() >= prob.shape[1]:
            return f"{title}/cluster has other numbers than -1 to {prob.shape[1] - 1}"
        if prob.size and not (prob.min() >= 0 and prob.max() <= 1 + ROUNDED):
            return f"{title}/prob has numbers that are no probabilities"
    return None


def content_fits(format: str, content: Mapping[str, Any]) -> bool:
    """Return whether the members of a JSON file have their types."""
    return NEEDED_MEMBERS.get(format, set()) <= content.keys() and fits(content, CONTENTS.get(format, OBJECT))


def fits(value: Any, form: Any = HEADER) -> bool:
    """Return whether a value of JSON has a type."""
    if isinstance(form, Needed):
        return fits(value, form.form)
    if isinstance(form, frozenset):
        return isinstance(value, str) and value in form
    if isinstance(form, tuple):
        return any(fits(value, each) for each in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, Mapping):
        each = form.get(str)
        return (
            isinstance(value, dict)
            and all(
                fits(member, form[name] if each is None else each)
                for name, member in value.items()
                if each is not None or name in form
            )
            and all(name in value for name, kind in form.items() if isinstance(kind, Needed))
        )
    if form is None:
        return value is None
    if isinstance(value, bool):
        return form is bool
    if issubclass(form, StrEnum):
        return isinstance(value, str) and value in list(form)
    return isinstance(value, int | float) if form is float else isinstance(value, form)
