"""The command line's errors in the words of a Python call."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from clusterkit.errors import ClusterkitError


@contextmanager
def python_words(**names: str) -> Iterator[None]:
    """Raise errors about flags as errors about keyword arguments: `--batch-size` becomes `batch_size`.

    `names` gives the argument of a flag that has another name here.
    """
    try:
        yield
    except (ClusterkitError, TypeError) as error:
        if "--" not in str(error):
            raise
        raise type(error)(translated(str(error), names)) from error


def translated(message: str, names: Mapping[str, str]) -> str:
    """Return a message of the command line with the names of arguments in place of flags."""
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: names.get(flag[1], flag[1].replace("-", "_")), message)
