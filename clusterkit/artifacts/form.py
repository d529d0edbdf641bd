"""The types of the members of a header, so that a file of another program is refused where one does not fit."""

from collections.abc import Mapping
from typing import Any

OBJECT: Any = {}
"""An object with any members."""
TEXTS: Any = {str: str}
DATASET: Any = {
    "name": str, "fingerprint": str, "labels": str, "size": (int, None), "channels": (int, None), "files": [str],
    "inverted": bool, "bright_ink": bool,
    "reading": {"flat": bool, "sniff": bool, "skip_bad": bool, "keep_duplicates": bool, "pixel_max": float,
                "labels": str},
    "features": [{"name": str, "sha256": (str, None), "licence": (str, None), "weights": (str, None), "width": int}],
}  # fmt: skip
ARCHITECTURE: Any = {
    "backbone": (str, None), "head": str, "shape": [int], "mean": ([float], float), "std": ([float], float),
    "limit": (float, None), "hidden": int, "outputs": int, "members": int, "width": (int, None),
    "tail": (OBJECT, None),
}  # fmt: skip
CONFIG: Any = {
    "automatic": bool, "dataset": (str, None, [str]), "features": (str, None), "g": (str, None), "k": (int, str),
    "method": (str, None), "model": str, "options": (OBJECT, None), "pairs": (str, None), "recipe": (str, None),
    "subset": (str, None), "task": str, "variation": (str, None),
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
    "format": str, "version": int, "stage": str, "config": CONFIG, "seed": int, "dataset": DATASET, "inputs": TEXTS,
    "versions": TEXTS, "device": str, "extra": EXTRA, "digest": str,
}  # fmt: skip
"""The types of docs/artifacts.md. `float` is any number, a tuple lists what is allowed, and None is null. A list has
items of one type. An object with the key `str` has members of one type; of others, members not named here are free."""


def fits(value: Any, form: Any = HEADER) -> bool:
    """Return whether a value of JSON has a type."""
    if isinstance(form, tuple):
        return any(fits(value, each) for each in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, Mapping):
        each = form.get(str)
        return isinstance(value, dict) and all(
            fits(member, form[name] if each is None else each)
            for name, member in value.items()
            if each is not None or name in form
        )
    if form is None:
        return value is None
    if isinstance(value, bool):
        return form is bool
    return isinstance(value, int | float) if form is float else isinstance(value, form)
