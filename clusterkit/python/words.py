"""Translation of the command line's errors into the words of a Python call."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from clusterkit.errors import ClusterkitError


@contextmanager
def python_words(**names: str) -> Iterator[None]:
    """Turn errors about flags into errors about keyword arguments: `--batch-size` becomes `batch_size`.

    `names` holds the arguments whose names differ from their flags, by flag.
    """
    try:
        yield
    except (ClusterkitError, TypeError) as error:
        if "--" not in str(error):
            raise
        raise type(error)(translated(str(error), names)) from error


def translated(message: str, names: Mapping[str, str]) -> str:
    """Return a message with the names of arguments instead of flags."""
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: names.get(flag[1], flag[1].replace("-", "_")), message)
