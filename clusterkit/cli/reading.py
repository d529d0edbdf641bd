"""The flags of how the user's own data are read."""

import inspect
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from clusterkit.cli.options import options_in, parameter
from clusterkit.errors import UsageError
from clusterkit.reading import LABELS, Reading, readers
from clusterkit.settings import typed

PANEL = "Reading your own data"
DATA_SETS = ("dataset", "others", "source", "target", "like")
"""The parameters of commands that name a data set."""


def reading_flags(*, labels: bool = False) -> list[inspect.Parameter]:
    """Return one parameter for each setting of `Reading`; that of labels only for a command that reads labels."""
    return [parameter(*option, PANEL) for option in options_in(Reading) if labels or option[0] != LABELS]


def reading_of(values: dict[str, Any]) -> Reading:
    """Remove the flags of reading from the values of a command; return the settings.

    Raises UsageError if a flag is typed but the command names no data that it applies to.
    """
    names = [field.name for field in fields(Reading)]
    reading = Reading(**{name: values.pop(name) for name in names if name in values})
    typed_sets = {name: values[name] for name in DATA_SETS if values.get(name)}
    sets = {name: value if isinstance(value, list) else [str(value)] for name, value in typed_sets.items()}
    for name in reading.to_header():
        named = [key for key, texts in sets.items() if any(is_read(text, readers(name)) for text in texts)]
        if name == "flat" and named == ["source"] and reading.labels is None:
            raise UsageError(
                "--flat: works only with a folder as the target; leave it out or name folder:PATH as the target"
            )
        # Without a named set, evaluate reads labels of the set of the assignments, and cluster of that of the pairs.
        if not named and (sets or name != LABELS):
            data = " or ".join(f"{prefix}:{'PATH' if prefix == 'folder' else 'FILE'}" for prefix in readers(name))
            raise UsageError(f"{typed(name)}: works only with {data}; leave it out or name such a data set")
    return reading


def is_read(text: str, prefixes: Collection[str]) -> bool:
    """Return whether an argument names own data with one of these prefixes, or an image file of `assign`."""
    return text.startswith(tuple(f"{prefix}:" for prefix in prefixes)) or (
        "folder" in prefixes and Path(text).is_file()
    )
