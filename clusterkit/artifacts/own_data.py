"""Names of the user's own data, labels and weights in headers.

In a file they are named by the path from its folder, and in memory as they can be typed.
So no file contains an absolute path, and the data are found from any current folder, even after the file and the data
were moved together.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clusterkit.errors import UsageError
from clusterkit.reading import LABELS, OWN_DATA, WEIGHTS

NAME = re.compile(rf"({'|'.join((*OWN_DATA, LABELS, WEIGHTS))}):(.+?)(@[\d,\-]+)?", re.DOTALL)
CLASSES = re.compile(r"@[\d,\-]+\Z")
"""What selects classes, if the path with this end does not exist."""
LISTS = ("others",)
"""The settings that list data sets."""
Value = TypeVar("Value")


def stored(value: Value, folder: Path) -> Value:
    """Return a JSON value in which own data are named by their paths from `folder`, however they were typed."""

    def from_folder(path: Path) -> Path:
        data = _absolute(path)
        paths = [
            Path(os.path.relpath(end, start)) for end in _texts(data) for start in (_absolute(folder), _real(folder))
        ]
        # With symbolic links on the way, some of these paths do not lead to the data.
        valid = [option for option in paths if _real(_real(folder) / option) == _real(data)]
        return min(valid, key=lambda option: len(option.parts))

    return _renamed(value, Path(), from_folder)


def found(value: Value, folder: Path) -> Value:
    """Return a JSON value in which own data, named by their paths from `folder`, are named as they can be typed here.

    That is the path from the current folder for data below it, and the absolute path for other data. For names that
    were typed, `folder` is the current one.
    """

    def here(path: Path) -> Path:
        absolute = _absolute(path)
        relative = os.path.relpath(absolute)
        return absolute if relative.startswith((os.pardir, "~")) else Path(relative)

    return _renamed(value, _real(folder), here)


def settled(value: Value) -> Value:
    """Return a JSON value in which own data, as typed here, are named by their real paths, for comparisons."""
    return _renamed(value, Path(), _real)


def _texts(data: Path) -> tuple[Path, Path]:
    """Return an absolute path as it was typed, and with the links in its folders resolved."""
    return data, _real(data.parent) / data.name


def _expanded(path: str) -> Path:
    """Return a path with a leading ~ replaced by the home folder. Raises UsageError for an unknown user."""
    try:
        # Path drops the `./` of `./~name`, so the text decides whether it means a home folder.
        return Path(path).expanduser() if path.startswith("~") else Path(path)
    except RuntimeError as error:
        raise UsageError(f"{path}: no such home folder; write the full path") from error


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; links are not resolved."""
    return Path(os.path.normpath(path if path.is_absolute() else Path.cwd() / path))


def _real(path: Path) -> Path:
    """Return the real path, with links resolved."""
    return Path(os.path.realpath(path))


def _renamed(value: Value, start: Path, rename: Callable[[Path], Path], name: str = "") -> Value:
    """Rename the own data in the values of objects, whose paths are from `start`. `name` is that of the value.

    Text in a list, such as a class name, is data only in LISTS.
    """
    if isinstance(value, dict):
        return {key: _renamed(inner, start, rename, key) for key, inner in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        all_named = name in LISTS
        return [_renamed(inner, start, rename) if all_named or isinstance(inner, dict) else inner for inner in value]  # type: ignore[return-value]
    match = NAME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    prefix, path, classes = match.groups("")
    if classes and os.path.lexists(start / _expanded(path + classes)):
        path, classes = path + classes, ""
    path = rename(start / _expanded(path)).as_posix()
    # The slash keeps the end of a path from being read as a selection of classes, where the path does not exist too.
    end = classes or ("/" if CLASSES.search(path) else "")
    return f"{prefix}:{'./' if path.startswith('~') else ''}{path}{end}"  # type: ignore[return-value]
