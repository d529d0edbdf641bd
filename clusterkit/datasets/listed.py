"""Image files that are named one by one, in place of a data set."""

import os
from collections.abc import Sequence
from pathlib import Path

from clusterkit import console
from clusterkit.artifacts.own_data import found
from clusterkit.datasets.catalogue import PREFIXES, SOURCES
from clusterkit.datasets.find import suffixes
from clusterkit.errors import MissingFileError, UsageError


def read_words(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the data set that words name and, if they name image files, the files' paths from its folder.

    Raises UsageError for several words that are not all files, and MissingFileError for a file that does not exist.
    """
    sets = [word for word in words if is_name(word)]
    if sets and len(words) > 1:
        raise UsageError(f"{sets[0]}: name one data set, or only image files")
    for word in () if sets else words:
        title = console.printable(word)
        if Path(word).is_dir():
            raise UsageError(f"{title}: a folder; name it alone, as folder:{title}")
        if not Path(word).is_file() and (len(words) > 1 or Path(word).suffix.lower() in suffixes()):
            raise MissingFileError(f"{title}: no such file; check the path")
    if sets or not Path(words[0]).is_file():
        return words[0], ()
    return listed([Path(word) for word in words])


def is_name(word: str) -> bool:
    """Return whether a word begins like the name of a data set."""
    prefix, colon, _ = word.partition(":")
    return (prefix in PREFIXES if colon else False) or word.partition("@")[0].partition("/")[0] in SOURCES


def listed(files: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """Return the name of the folder of all files, and their paths from there, each once.

    That is the current folder if they are below it, so that they keep the names that were typed.
    """
    places = [Path(os.path.normpath(Path.cwd() / file)) for file in files]
    folder = Path.cwd()
    if not all(place.is_relative_to(folder) for place in places):
        folder = Path(os.path.commonpath([place.parent for place in places]))
    names = dict.fromkeys(place.relative_to(folder).as_posix() for place in places)
    return found(f"folder:{folder}", Path()), tuple(names)
