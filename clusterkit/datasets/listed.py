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
    """Return the data set that words name and, if they name image files, these words, one for each file.

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
    return listed(words)


def is_name(word: str) -> bool:
    """Return whether a word begins like the name of a data set."""
    prefix, colon, _ = word.partition(":")
    return (prefix in PREFIXES if colon else False) or word.partition("@")[0].partition("/")[0] in SOURCES


def listed(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the name of the folder of all files, which is the current one if they are below it, and each file once."""
    places: dict[Path, str] = {}
    for word in words:
        places.setdefault(Path(os.path.normpath(Path.cwd() / word)), word)
    folder = Path.cwd()
    if not all(place.is_relative_to(folder) for place in places):
        folder = Path(os.path.commonpath([place.parent for place in places]))
    return found(f"folder:{folder}", Path()), tuple(places.values())
