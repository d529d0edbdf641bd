"""Labels of the user's own data: their classes, and labels that lie in another file."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clusterkit import console
from clusterkit.artifacts.own_data import found
from clusterkit.datasets.base import Raw, Subset
from clusterkit.datasets.lookup import NOT_READ, Lookup, Place
from clusterkit.datasets.tables import (
    LABEL_COLUMNS,
    NAME_COLUMNS,
    Array,
    as_input_errors,
    check_finite,
    read_numpy,
    text,
)
from clusterkit.errors import InputError
from clusterkit.reading import LABELS

Labels = tuple[Tensor | None, tuple[str, ...]]
"""Labels (N,), positions in the classes and -1 for an unlabelled item, or None if all are unlabelled; the classes."""
SEPARATORS = {".csv": ",", ".tsv": "\t"}
UNLABELLED = ("", "-1")
"""Texts of a table that stand for no label."""
SHOWN = 5
"""The most lines that a message names."""
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def of_values(y: Array, count: int, path: Path) -> Labels:
    """Return the labels of an array (N,), whose sorted values, as text, are the classes.

    The number -1 means unlabelled, as in scikit-learn. Raises InputError for an array of another length or type.
    """
    if y.shape != (count,):
        raise InputError(f"{path}: y has shape {y.shape}; expected ({count},), one value per item")
    if y.dtype.kind not in "buifSU":
        raise InputError(f"{path}: y holds {y.dtype}; write the classes as text or numbers")
    if y.dtype.kind == "f":
        check_finite(y, "y", path)
    y = decoded(y, "y", path)
    is_labelled = y != -1 if y.dtype.kind in "if" else np.ones(count, bool)
    if not is_labelled.any():
        return None, ()
    values, positions = np.unique(y[is_labelled], return_inverse=True)
    labels = torch.full((count,), -1)
    labels[torch.from_numpy(is_labelled)] = torch.from_numpy(positions.astype(np.int64))
    return labels, tuple(text(value) for value in values.tolist())


def decoded(values: Array, name: str, path: Path) -> Array:
    """Return an array of bytes as text, and any other array unchanged. Raises InputError for bytes not in UTF-8."""
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {name} holds bytes that are not UTF-8; write it as text or numbers") from error


def of_words(words: Sequence[str]) -> Labels:
    """Return the labels of texts (N,), whose different values are the classes, sorted as numbers if all are numbers.

    An empty text and -1 mean unlabelled.
    """
    labelled = {word for word in words if word not in UNLABELLED}
    are_numbers = all(NUMBER.fullmatch(word) for word in labelled)
    # Tables with missing labels write whole numbers as 1.0.
    names = {word: text(float(word)) if are_numbers and "." in word else word for word in labelled}
    names = {word: name for word, name in names.items() if name not in UNLABELLED}
    if not names:
        return None, ()
    classes = sorted(set(names.values()), key=float if are_numbers else None)
    numbers = {word: classes.index(name) for word, name in names.items()}
    return torch.tensor([numbers.get(word, -1) for word in words]), tuple(classes)


def relabelled(raw: Raw, path: Path, title: str) -> Raw:
    """Return the content of a source with the labels of a file, which replace its own.

    Labels of files that are no items, such as unreadable images, are left out.

    Raises InputError for a file that is missing or damaged, or that does not fit the items.
    """
    path = Path(found(f"{LABELS}:{path}", Path()).partition(":")[2])
    count = len(raw.images)
    if path.suffix.lower() in (".npy", ".npz"):
        content = read_numpy(path, ("y",), "write it with numpy.save(FILE, y)")
        labels, classes = of_values(content["y"], count, path)
    elif path.suffix.lower() in SEPARATORS:
        labels, classes = of_words(by_item(path, raw))
    elif path.suffix.lower() == ".parquet":
        raise InputError(f"{path}: labels lie in .csv, .tsv, .npy, .npz or text files; write its columns as .csv")
    else:
        words = [line.strip() for line in lines(path)]
        if len(words) != count:
            raise InputError(f"{path}: has {len(words)} lines, and {title} has {count} items; give one label per line")
        labels, classes = of_words(words)
    if labels is None:
        raise InputError(f"{path}: has no labels; name another file")
    if raw.labels is not None:
        console.once("%s: the labels are those of %s, in place of its own", title, path)
    return replace(raw, labels=labels, classes=classes)


def lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    with as_input_errors(path, "text file", "write one label per line"):
        return path.read_text("utf-8-sig").splitlines()


def by_item(path: Path, raw: Raw) -> list[str]:
    """Return the text of each item's label (N,) from a table of names and labels, or of ids and labels.

    An item without a line has an empty text. Raises InputError as `by_place` does.
    """
    ids = torch.arange(len(raw.images)) if raw.ids is None else raw.ids
    lookup = Lookup([Subset("all", raw.images, ids, None, raw.names, raw.files)])
    words = [""] * len(raw.images)
    for (_, position), (_, label) in by_place(path, lookup).items():
        words[position] = label
    return words


def by_place(path: Path, lookup: Lookup) -> dict[Place, tuple[int, str]]:
    """Return the number of the line and the text of the label of each item in a table of items and labels.

    Raises InputError that names the line of an unknown or repeated item.
    """
    rows = list(fields_of(path))
    is_title = rows and rows[0][1].lower() in NAME_COLUMNS and rows[0][2].lower() in LABEL_COLUMNS
    if is_title and not lookup.by_name(rows[0][1]):
        del rows[0]
    are_names = any(lookup.by_name(item) for _, item, _ in rows)
    found, unread = dict[Place, tuple[int, str]](), list[str]()
    for number, item, label in rows:
        name, by_id = console.printable(item), lookup.by_id(item)
        places = lookup.by_name(item) if are_names else [] if by_id is None else [by_id]
        if not places and (lookup.is_unread_file(item) or (not are_names and lookup.is_unread_id(item))):
            unread.append(f"{number} ({name})")
            continue
        if not places:
            kind = "name" if are_names or lookup.names else "id"
            title = " (titles are name,label)" if number == 1 else lookup.hint(item)
            raise InputError(f"{path}: line {number}: no item has the {kind} '{name}'{title}; correct or remove it")
        if len(places) > 1:
            raise InputError(f"{path}: line {number}: {len(places)} items are called {name}; label items by id")
        if places[0] in found:
            first = found[places[0]][0]
            raise InputError(f"{path}: lines {first} and {number} label the same item, {name}; keep one")
        found[places[0]] = (number, label)
    if len(unread) == 1:
        console.once("%s: the label in line %s is left out: its file is %s", path, unread[0], NOT_READ)
    elif unread:
        shown = ", ".join(unread[:SHOWN]) + (", ..." if len(unread) > SHOWN else "")
        console.once(
            "%s: the %d labels in lines %s are left out: their files are %s", path, len(unread), shown, NOT_READ
        )
    return found


def fields_of(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the item and the label of each line of a table that is not empty."""
    separator = SEPARATORS[path.suffix.lower()]
    with as_input_errors(path, "table", "write lines of NAME,LABEL"):
        # File names may hold other bytes than UTF-8, and are compared as the system gives them.
        content = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    table = csv.reader(content.splitlines(keepends=True), delimiter=separator, strict=True)
    try:
        rows = [(table.line_num, row) for row in table if row]
    except csv.Error as error:
        raise InputError(f"{path}: line {table.line_num}: not a line of a table ({error}); correct it") from error
    for number, row in rows:
        if len(row) != 2:
            raise InputError(
                f"{path}: line {number}: {len(row)} fields; write NAME{separator}LABEL".replace("\t", " TAB ")
            )
        item, label = row[0].strip(), row[1].strip()
        if label != console.printable(label):
            raise InputError(f"{path}: line {number}: the label is not UTF-8; save the file as UTF-8")
        yield number, item, label
