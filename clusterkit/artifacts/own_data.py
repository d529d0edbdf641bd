"""How headers name a user's own data: in a file by the path from its folder, in memory by a name that can be typed.

A file then holds no absolute path, and its data are found from any current folder, also after both were moved together.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clusterkit.config import OWN_DATA
from clusterkit.errors import UsageError

NAME = re.compile(rf"({'|'.join(OWN_DATA)}):(.+?)(@[\d,\-]+)?", re.DOTALL)
Value = TypeVar("Value")


def stored(value: Value, folder: Path) -> Value:
    """Return a JSON value with own data, however they were typed, named by their paths from a folder."""

    def from_folder(path: str) -> Path:
        data = _absolute(_expanded(path))
        ways = [
            Path(os.path.relpath(end, start)) for end in _texts(data) for start in (_absolute(folder), _real(folder))
        ]
        # Where links are on the way, not each that the text suggests leads there.
        right = [way for way in ways if _real(_real(folder) / way) == _real(data)]
        return min(right, key=lambda way: len(way.parts))

    return _renamed(value, from_folder)


def found(value: Value, folder: Path) -> Value:
    """Return a JSON value with own data, named by their paths from a folder, named as they can be typed here.

    That is by the path from the current folder where they are below it, and by the absolute one elsewhere. Of names
    that were typed, `folder` is the current one.
    """

    start = _real(folder)

    def here(path: str) -> Path:
        absolute = _absolute(start / _expanded(path))
        relative = os.path.relpath(absolute)
        return absolute if relative.startswith((os.pardir, "~")) else Path(relative)

    return _renamed(value, here)


def settled(value: Value) -> Value:
    """Return a JSON value with own data, as they can be typed here, named by where they truly lie: to compare names."""
    return _renamed(value, lambda path: _real(_expanded(path)))


def _texts(data: Path) -> tuple[Path, Path]:
    """Return an absolute path as it was typed, and as it is without links on the way."""
    return data, _real(data.parent) / data.name


def _expanded(path: str) -> Path:
    """Return a path with the home folder for a ~ at its start. Raises UsageError for that of a user who is unknown."""
    try:
        # A path in parts forgets a `./` before what only looks like a home folder.
        return Path(path).expanduser() if path.startswith("~") else Path(path)
    except RuntimeError as error:
        raise UsageError(f"{path}: no such home folder; write the whole path") from error


def _absolute(path: Path) -> Path:
    """Return a path without `..` by its text alone: where links lead is not asked."""
    return Path(os.path.normpath(path if path.is_absolute() else Path.cwd() / path))


def _real(path: Path) -> Path:
    """Return where a path truly leads, links followed."""
    return Path(os.path.realpath(path))


def _renamed(value: Value, rename: Callable[[str], Path]) -> Value:
    """Rename what the members of objects name. A word in a list, as the name of a class, names no data."""
    if isinstance(value, dict):
        return {name: _renamed(inner, rename) for name, inner in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [_renamed(inner, rename) if isinstance(inner, dict) else inner for inner in value]  # type: ignore[return-value]
    match = NAME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    prefix, path, classes = match.groups("")
    path = rename(path).as_posix()
    return f"{prefix}:{'./' if path.startswith('~') else ''}{path}{classes}"  # type: ignore[return-value]
