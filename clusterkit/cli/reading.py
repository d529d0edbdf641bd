"""The flags of how a folder of image files is read."""

import inspect
from dataclasses import fields
from typing import Any

from clusterkit.cli.options import options_in, parameter
from clusterkit.config import Reading
from clusterkit.errors import UsageError

PANEL = "Reading folders"
DATA_SETS = ("dataset", "source", "target")
"""The parameters of commands that name a data set."""


def reading_flags() -> list[inspect.Parameter]:
    """Return one parameter for each setting of `Reading`."""
    return [parameter(*option, PANEL) for option in options_in(Reading)]


def reading_of(values: dict[str, Any]) -> Reading:
    """Remove the flags of reading from the values of a command; return the settings.

    Raises UsageError if a flag is typed but the command names no folder.
    """
    names = [field.name for field in fields(Reading)]
    reading = Reading(**{name: values.pop(name) for name in names if name in values})
    folders = [name for name in DATA_SETS if str(values.get(name)).startswith("folder:")]
    if folders == ["source"] and reading.flat:
        raise UsageError(
            "--flat: works only with a folder as the target; leave it out or name folder:PATH as the target"
        )
    for flag in reading.flags() if not folders else ():
        raise UsageError(f"{flag}: works only with a folder; leave it out or name folder:PATH as the data set")
    return reading
