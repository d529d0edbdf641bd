"""Finding the items of a data set by what a user's file calls them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from clusterkit import console
from clusterkit.datasets.base import Subset
from clusterkit.datasets.find import find
from clusterkit.errors import InputError
from clusterkit.reading import Reading

Place = tuple[int, int]
"""The number of a subset and a position in it."""
NOT_READ = "not read (unreadable or left out)"


@dataclass(frozen=True, eq=False)
class Lookup:
    """The items of some subsets, found by their names, the paths of their files, or their ids."""

    subsets: Sequence[Subset]

    def by_name(self, text: str) -> list[Place]:
        """Return the places of the items with a name, as it is or as messages show it, or of the file at a path."""
        if text in self.names:
            return self.names[text]
        return self.files.get(os.path.realpath(text), []) if self.names and os.path.lexists(text) else []

    def by_id(self, text: str) -> Place | None:
        return self.ids.get(int(text)) if is_number(text) else None

    def is_unread_file(self, text: str) -> bool:
        """Return whether a text that is the name of no item names a file in the folder of the items."""
        if self.folder is None:
            return False
        # Links are not resolved: a link in the folder to a file outside it is a file of the folder.
        folder, *paths = (Path(os.path.normpath(Path.cwd() / path)) for path in (self.folder, self.folder / text, text))
        try:
            return any(path.is_relative_to(folder) and path.is_file() for path in paths)
        except OSError:  # of a text that is too long for a path
            return False

    def is_unread_id(self, text: str) -> bool:
        """Return whether a text is the id of a file in the folder of the items that is no item."""
        return self.folder is not None and is_number(text) and int(text) not in self.ids and int(text) < self.count

    def hint(self, text: str) -> str:
        """Return the most similar name in brackets, after a space; empty if none is similar."""
        near = get_close_matches(text, self.names, 1)
        return f" (did you mean {console.printable(near[0])}?)" if near else ""

    @cached_property
    def names(self) -> dict[str, list[Place]]:
        """The places by name, as it is and as messages show it."""
        places: dict[str, list[Place]] = {}
        for number, subset in enumerate(self.subsets):
            for position, name in enumerate(subset.names or ()):
                for text in {name, console.printable(name)}:
                    places.setdefault(text, []).append((number, position))
        return places

    @cached_property
    def files(self) -> dict[str, list[Place]]:
        """The places by the real path of the item's file."""
        places: dict[str, list[Place]] = {}
        for number, subset in enumerate(self.subsets):
            for position, file in enumerate(subset.files or ()):
                places.setdefault(os.path.realpath(file), []).append((number, position))
        return places

    @cached_property
    def folder(self) -> Path | None:
        """The folder at which the names of the items' files start; None if the items are no files."""
        for subset in self.subsets:
            for name, file in zip(subset.names or (), subset.files or (), strict=False):
                return Path(*file.parts[: len(file.parts) - len(Path(name).parts)])
        return None

    @cached_property
    def count(self) -> int:
        """The number of ids in the folder of the items, those of unread files included."""
        assert self.folder is not None
        try:
            found = find(self.folder, Reading())
        except InputError:  # of a folder that is gone
            return max(self.ids)
        if all("/" in name for subset in self.subsets for name in subset.names or ()):
            found.leave_out_loose()
        found.leave_out_second_names()
        return max(len(found.files), max(self.ids))

    @cached_property
    def ids(self) -> dict[int, Place]:
        return {
            item: (number, position)
            for number, subset in enumerate(self.subsets)
            for position, item in enumerate(subset.ids.tolist())
        }


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
