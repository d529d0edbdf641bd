"""The file of a user's links: a CSV of two items and a word."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from clusterkit import console
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.lookup import NOT_READ, Lookup, Place
from clusterkit.errors import InputError
from clusterkit.pairs.links import Contradiction, Link, contradiction

log = logging.getLogger("clusterkit")

WORDS = {"must": True, "must-link": True, "cannot": False, "cannot-link": False}
FORM = "ITEM,ITEM,must|cannot"


def read_links(path: Path, data: Dataset) -> dict[str, list[Link]]:
    """Return the links of each subset that has any, by position; a repeated link counts once.

    A line holds two items, by name or id, and `must` or `cannot` (`must-link`, `cannot-link`). A first line that holds
    neither items nor such a word is a header. Raises InputError that names the line for a malformed line, an unknown
    item, items of different subsets, an item with itself, and a cannot-link that must-links contradict.
    """
    known = Known(data)
    links: dict[int, dict[tuple[int, int, bool], Link]] = {}
    for number, texts in read_lines(path):
        cells = [text.strip() for text in texts]
        if not any(cells) or (number == 1 and is_header(cells, known)):
            continue
        where = f"{path}, line {number}"
        if len(cells) != 3 or cells[2].lower() not in WORDS:
            line = console.printable(",".join(cells))
            raise InputError(f"{where}: '{line}' is not {FORM}; write two items and a word, as in 0,17,must")
        named = [text if known.lookup.by_name(text) else text.strip() for text in texts[:2]]
        (one, a), (other, b) = (known.place(text, where) for text in named)
        if one != other:
            raise InputError(
                f"{where}: {cells[0]} and {cells[1]} are in different subsets, each clustered alone; remove the line"
            )
        if a == b:
            raise InputError(f"{where}: pairs item {data.subsets[other].title(a)} with itself; name two items")
        must = WORDS[cells[2].lower()]
        key = (min(a, b), max(a, b), must)
        links.setdefault(other, {}).setdefault(key, Link(a, b, must, number))
    if not links:
        raise InputError(f"{path}: no constraints in it; write lines of {FORM}")
    by_subset = {data.subsets[number].name: list(found.values()) for number, found in sorted(links.items())}
    check_links(by_subset, data, path)
    return by_subset


def check_links(links: Mapping[str, Sequence[Link]], data: Dataset, path: Path, examples: Path | None = None) -> None:
    """Raise InputError for a cannot-link that must-links contradict.

    `links` are by subset. They are those of the file at `path`, and those that follow from the file of `examples`.
    """
    for subset in data.subsets:
        wrong = contradiction(links.get(subset.name, []))
        if wrong is not None:
            raise InputError(explained(path, wrong, [subset.title(item) for item in wrong.items], examples))


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the cells of each row with the number of its first line.

    Raises InputError for a file that is missing or no CSV.
    """
    try:
        # Names of files may hold bytes that are not UTF-8.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader, rows, number = csv.reader(file), [], 1
            for cells in reader:
                rows.append((number, cells))
                number = reader.line_num + 1
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; --constraints takes a CSV of {FORM}") from error
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV ({error}); write lines of {FORM}") from error
    if any("\0" in cell for _, cells in rows for cell in cells):
        raise InputError(f"{path}: not a readable CSV (it holds zero bytes); write lines of {FORM}, in UTF-8")
    return rows


def is_header(cells: Sequence[str], known: "Known") -> bool:
    """Return whether a line holds neither a number, nor a known item, nor a word of a link."""
    return (
        len(cells) == 3
        and cells[2].lower() not in WORDS
        and not any(text.isdecimal() or known.lookup.by_name(text) for text in cells[:2])
    )


def explained(path: Path, wrong: Contradiction, titles: Sequence[str], examples: Path | None = None) -> str:
    """Return the message on a contradiction, whose items have these titles."""
    # A link that follows from examples stands in two lines of their file.
    home, other = (path, examples) if wrong.cannot.second is None else (examples, path)
    here = [link for link in wrong.chain if (link.second is None) == (wrong.cannot.second is None)]
    there = [link for link in wrong.chain if link not in here]
    parts = [lines_of(here)] if here else []
    parts += [f"{lines_of(there)} of {other}"] if there else []
    tie = "ties" if not parts[1:] and len(wrong.chain) == 1 and wrong.chain[0].second is None else "tie"
    say = "says" if wrong.cannot.second is None else "say"
    return (
        f"{home}: {lines_of([wrong.cannot])} {say} that {titles[0]} and {titles[-1]} cannot be together, but "
        f"{' and '.join(parts)} {tie} them ({' - '.join(titles)}); remove one of these lines"
    )


def lines_of(links: Sequence[Link]) -> str:
    """Return where some links of one file stand."""
    numbers = list(dict.fromkeys(n for link in links for n in (link.place, link.second) if n is not None))
    *first, last = map(str, numbers)
    return f"lines {', '.join(first)} and {last}" if first else f"line {last}"


@dataclass(frozen=True, eq=False)
class Known:
    """The items of a data set, for its links; `said` are the texts whose double meaning was logged."""

    data: Dataset
    said: set[str] = field(default_factory=set)

    @cached_property
    def lookup(self) -> Lookup:
        return Lookup(self.data.subsets)

    def place(self, text: str, where: str) -> Place:
        """Return the place of an item. Raises InputError for an unknown or ambiguous one; `where` names the line."""
        by_name, by_id = self.lookup.by_name(text), self.lookup.by_id(text)
        if not by_name and by_id is None:
            raise InputError(f"{where}: {self.unknown(text)}")
        if not by_name:
            assert by_id is not None
            return by_id
        if len(by_name) > 1:
            raise InputError(
                f"{where}: {len(by_name)} items of {self.data.name} are called {console.printable(text)}; write ids"
            )
        if by_id not in (None, by_name[0]) and text not in self.said:
            self.said.add(text)
            log.info("%s: %s is the name of one item and the id of another; it is read as the name", where, text)
        return by_name[0]

    def unknown(self, text: str) -> str:
        """Return the message on a text that names no item."""
        name, lookup = console.printable(text), self.lookup
        if lookup.is_unread_file(text):
            return f"{name} is a file that is {NOT_READ}; mend the file or remove the line"
        if lookup.is_unread_id(text):
            return f"no item has the id {name}: its file is {NOT_READ}; mend the file or remove the line"
        if near := lookup.hint(text):
            return f"no item {name} in {self.data.name}{near}; correct the name or remove the line"
        how = "names or ids" if lookup.names else "ids"
        return (
            f"no item {name} in {self.data.name}; name items by their {how} "
            f"({min(lookup.ids)} to {max(lookup.ids)}), or remove the line"
        )
