"""The command line's errors in the words of a Python call."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterkit.errors import DivergedError, InputError, UsageError

ARRAYS = Path("arrays")
"""Stands for the file in messages about arrays that no file holds, and is cut from them."""


@contextmanager
def python_words(**names: str) -> Iterator[None]:
    """Raise errors about flags as ValueErrors about keyword arguments: `--batch-size` becomes `batch_size`.

    `names` gives the argument of a flag that has another name here.
    """
    try:
        yield
    except (DivergedError, TypeError) as error:
        # A TypeError may be anybody's, who writes no flags.
        if "--" not in str(error):
            raise
        raise type(error)(translated(str(error), names)) from error
    except InputError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UsageError(translated(str(error), names)) from error
    except UsageError as error:
        raise UsageError(translated(str(error), names)) from error


def translated(message: str, names: dict[str, str]) -> str:
    """Return a message of the command line with the names of arguments in place of flags."""
    text = message.removeprefix(f"{ARRAYS}: ")
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: names.get(flag[1], flag[1].replace("-", "_")), text)
