"""The catalogue, which turns a name `NAME[/SUBSET][@CLASSES]` into a data set."""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.artifacts.own_data import found, stored
from clusterkit.config import Context
from clusterkit.datasets import (
    arrays,
    cifar,
    digits,
    folder,
    glyphs,
    imagenet,
    mnist,
    office31,
    omniglot,
    svhn,
    synthetic,
    usps,
    xlsa,
)
from clusterkit.datasets.base import Dataset, Raw, Request, Source, Subset, chosen
from clusterkit.datasets.labels import relabelled
from clusterkit.datasets.meant import advice_on, check_kind, own_data
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import OWN_DATA, USUAL, Reading

SOURCES: dict[str, Source] = {
    **glyphs.SOURCES,
    **digits.SOURCES,
    **omniglot.SOURCES,
    **mnist.SOURCES,
    **usps.SOURCES,
    **svhn.SOURCES,
    **cifar.SOURCES,
    **office31.SOURCES,
    **imagenet.SOURCES,
    **xlsa.SOURCES,
    **synthetic.SOURCES,
}

PREFIXES: dict[str, Source] = {
    **synthetic.PREFIXES,
    **folder.PREFIXES,
    **arrays.PREFIXES,
}
"""Sources whose names have an argument after a colon: `folder:PATH`."""


@dataclass(frozen=True)
class Name:
    """The parts of a data set's name."""

    source: str
    argument: str = ""
    subset: str | None = None
    classes: str | None = None

    @property
    def full(self) -> str:
        text = f"{self.source}:{self.argument}" if self.argument else self.source
        text += f"/{self.subset}" if self.subset else ""
        return text + (f"@{self.classes}" if self.classes else "")

    @property
    def is_named(self) -> bool:
        """Return whether the name determines the content; the name of the user's own data does not."""
        return not self.argument or bool(self.entry.subsets)

    @property
    def entry(self) -> Source:
        return PREFIXES[self.source] if self.argument else SOURCES[self.source]


def parse(text: str) -> Name:
    """Split a name into its parts; different paths to the user's own data become one path.

    Raises UsageError for a source or subset that does not exist.
    """
    text = found(text, Path())
    match = re.fullmatch(r"(?P<body>.*?)(?:@(?P<classes>[\d,\-]+))?", text, re.DOTALL)
    assert match is not None
    body, classes = match["body"], match["classes"]
    prefix, colon, argument = body.partition(":")
    if colon and prefix in PREFIXES:
        if not argument:
            raise UsageError(f"data set '{text}': nothing follows '{prefix}:'; see: clusterkit datasets")
        subsets = PREFIXES[prefix].subsets
        if subsets and argument not in subsets:
            raise UsageError(f"data set '{text}': choose {prefix}: one of {', '.join(subsets)}")
        return Name(prefix, argument, None, classes)
    source, slash, subset = body.partition("/")
    if source not in SOURCES:
        if body.partition("@")[0] in SOURCES:
            raise UsageError(f"data set '{text}': the text after @ is not a class range; write @0-4 or @0,2,5")
        near = [own_data(text, PREFIXES), *get_close_matches(body, [*SOURCES, *(f"{p}:" for p in PREFIXES)], 1)]
        meant = next((name for name in near if name), None)
        hint = f" (did you mean {meant}?)" if meant else ""
        raise UsageError(f"unknown data set '{text}'{hint}; {advice_on(text) or 'see: clusterkit datasets'}")
    subsets = SOURCES[source].subsets
    if slash and (not subset or (subsets and subset not in subsets)):
        near = get_close_matches(subset, subsets, 1)
        hint = f" (did you mean {source}/{near[0]}?)" if near else ""
        choices = f"; its subsets: {', '.join(subsets)}" if subsets else ""
        raise UsageError(f"{source} has no subset '{subset}'{hint}{choices}")
    return Name(source, "", subset if slash else None, classes)


def chosen_classes(text: str, count: int, name: str) -> list[int]:
    """Return the class numbers that `0-4,7` selects, sorted. Raises UsageError unless all are below `count`."""
    chosen: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise UsageError(f"data set '{name}': '{part}' is not a class range; write @0-4 or @0,2,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= count:
            raise UsageError(f"data set '{name}': classes {part} do not exist; it has classes 0 to {count - 1}")
        chosen += range(first, last + 1)
    return sorted(set(chosen))


def load_dataset(
    text: str, root: Path, *, offline: bool = False, size: int | None = None, channels: int | None = None,
    reading: Reading = USUAL, inverted: bool | None = None, unclear: bool | None = None, files: Sequence[Path] = (),
    whole: bool = False,
) -> Dataset:  # fmt: skip
    """Read a data set by name, with images (C, size, size); None keeps the channels or default size of the source.

    `reading` says how the user's own data are read. `inverted` says whether grey images of the user are inverted; None
    decides by the pixels. `unclear` says whether to invert them for a network if the pixels do not clearly decide it.
    `files` are the paths of the only files of a folder to read; without any, all are read. `whole` says that
    pictures are read again at their own sizes, for their features; images in `arrays:FILE` keep their own size now.

    Raises UsageError for an unknown name and InputError for a set that is absent or damaged.
    """
    name = parse(text)
    source = name.entry
    check_kind(name.source, name.argument, PREFIXES)
    missing = [path for path in source.files(root) if not path.exists()]
    if missing:
        fetch_missing(name, root, missing, offline)
    if reading.labels is not None and not (name.argument and name.source in OWN_DATA):
        raise UsageError(f"--labels: data set {name.full} has its own labels; leave it out")
    request = Request(
        root, size or source.size, channels, name.argument, name.subset, reading, inverted, unclear, tuple(files), whole
    )
    raw = source.load(request)
    if whole and isinstance(raw.images, Tensor) and raw.images.dim() == 4:
        request = replace(request, size=raw.images.shape[-1])
    if reading.labels is not None:
        raw = relabelled(raw, reading.labels, name.full)
    return select(raw, name, request)


def load_recorded(
    fields: Mapping[str, Any], context: Context, made: Path | None = None, *, offline: bool = False,
    labels: Path | None = None,
) -> Dataset:  # fmt: skip
    """Read a data set as the header of the file `made` records, but with the labels of another file if one is named.

    Raises InputError for a set that is absent or damaged.
    """
    if made is not None:
        check_place(fields["name"], made)
    reading = Reading.recorded(fields)
    reading = reading if labels is None else replace(reading, labels=labels)
    files = [Path(parse(fields["name"]).argument) / file for file in fields.get("files", ())]
    return load_dataset(
        fields["name"], context.data, offline=offline or context.offline, size=fields.get("size"),
        channels=fields.get("channels"), reading=reading, inverted=fields.get("inverted"), files=files,
        whole="features" in fields,
    )  # fmt: skip


def check_place(name: str, made: Path) -> None:
    """Raise InputError if the user's own data, which the header of the file `made` names, are not where it says."""
    entry = parse(name)
    if entry.source in OWN_DATA and not Path(entry.argument).exists():
        raise InputError(
            f"{entry.argument}: no such file or folder; {made} was made from {stored(name, made.parent)}, a path that "
            "starts at its own folder; move the data or that file back"
        )


def load_like(
    text: str, shape: Sequence[int], root: Path, *, offline: bool = False, reading: Reading = USUAL,
    trained: Mapping[str, Any] | None = None, files: Sequence[Path] = (), beside: str | None = None,
) -> Dataset:  # fmt: skip
    """Read a data set with its items in the shape that a network reads: (C, H, W) or (D,).

    `trained` is the header entry of the set that the network was trained on, whose polarity grey images get. `files`
    are the paths of the only files of a folder to read; without any, all are read. `beside` is the title of the set
    that gives the shape if no network does. Raises InputError if the items cannot have this shape.
    """
    if len(shape) == 3:
        inverted, unclear = polarity_like(text, trained)
        if parse(text).entry.channels not in (None, shape[0]):
            which, colour = "the files are" if files else f"{text} is", "grey" if shape[0] == 1 else "colour"
            console.once("%s read as %s, as the training images are", which, colour)
        data = load_dataset(
            text, root, offline=offline, size=shape[1], channels=shape[0], reading=reading, inverted=inverted,
            unclear=unclear, files=files,
        )  # fmt: skip
    else:
        data = load_dataset(text, root, offline=offline, reading=reading, files=files)
    data.check_shape(shape, beside)
    return data


def polarity_like(text: str, trained: Mapping[str, Any] | None) -> tuple[bool | None, bool | None]:
    """Return the `inverted` and `unclear` of `load_dataset` for images that a network reads.

    `trained` is the header entry of the set that the network was trained on; None lets the pixels decide. That set
    itself is read as it was then. Named sets of grey images have bright ink on dark. For a network that was trained on
    other images than those of bright ink on dark, nothing is inverted.
    """
    if trained is None:
        return None, None
    here, inverted = parse(text), trained.get("inverted")
    try:
        name = parse(trained["name"])
    except UsageError:
        # Another version wrote the header, with a name that is unknown here.
        return None, None
    if (name.source, name.argument) == (here.source, here.argument):
        return inverted, None
    if name.is_named:
        return (None, False) if name.entry.channels == 1 else (False, None)
    if inverted is None:
        # Headers of earlier versions do not say whether grey images were inverted.
        return (None, None) if trained.get("channels") == 1 else (False, None)
    return (None, inverted) if inverted or trained.get("bright_ink") else (False, None)


def fetch_missing(name: Name, root: Path, missing: list[Path], offline: bool) -> None:
    """Download an absent set. Raises InputError that names the expected files if the download is impossible."""
    fetch = name.entry.fetch
    reason = "--offline is set" if offline else "it cannot be downloaded"
    if fetch is not None and not offline:
        folders = {folder for path in missing for folder in path.parents if not folder.exists()}
        try:
            root.mkdir(parents=True, exist_ok=True)
            with redirect_stdout(sys.stderr):
                fetch(root)
            return
        except (OSError, RuntimeError, HTTPException) as error:
            reason = f"the download failed ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            for folder in sorted(folders, reverse=True):
                with suppress(OSError):  # of folders that are not empty
                    folder.rmdir()
    expected = ", ".join(str(path / name.entry.layout) for path in missing)
    raise InputError(
        f"data set {name.source} is not in {root} and {reason}; "
        f"expected: {expected}; put it there or name another folder with --data"
    )


def select(raw: Raw, name: Name, request: Request) -> Dataset:
    """Return the subset and classes of a source that the name selects."""
    count = len(raw.images)
    subset = raw.subset if raw.subset is not None else torch.zeros(count, dtype=torch.int64)
    ids = raw.ids if raw.ids is not None else torch.arange(count)
    selected = torch.ones(count, dtype=torch.bool)
    if name.subset is not None:
        if name.subset not in raw.subsets:
            raise UsageError(f"{name.source} has no subset '{name.subset}'; its subsets: {', '.join(raw.subsets)}")
        selected &= subset == raw.subsets.index(name.subset)
    if name.classes is not None:
        if raw.labels is None:
            why = "--flat reads no labels" if request.reading.flat else "it has no labels"
            raise UsageError(f"data set '{name.full}': @ selects classes, but {why}; leave out @{name.classes}")
        numbers = chosen_classes(name.classes, len(raw.classes), name.full)
        selected &= torch.isin(raw.labels, torch.tensor(numbers))
    parts = []
    for number, title in enumerate(raw.subsets):
        positions = (selected & (subset == number)).nonzero()[:, 0]
        if len(positions):
            if len(positions) == count:
                images = raw.images
            else:
                images = raw.images[positions] if isinstance(raw.images, Tensor) else raw.images.take(positions)
            labels = None if raw.labels is None else raw.labels[positions]
            parts.append(
                Subset(
                    title, images, ids[positions], labels, chosen(raw.names, positions), chosen(raw.files, positions)
                )
            )
    if not parts:
        raise InputError(f"data set '{name.full}' has no images; name another set, subset or classes")
    content = raw.fingerprint or fingerprint(raw, ids)
    return Dataset(
        name.full, raw.kind or name.entry.kind, tuple(parts), raw.classes, content, request.size, name.entry.target,
        request.reading.of(name.source), raw.inverted, raw.bright_ink, raw.listed,
    )  # fmt: skip


def fingerprint(raw: Raw, ids: Tensor) -> str:
    """Return the sha256 of a set without its labels.

    It covers the values and ids of a set in memory, and the ids, relative names and sizes of streamed image files.
    """
    digest = hashlib.sha256()
    if isinstance(raw.images, Tensor):
        digest.update(f"{raw.images.dtype}{tuple(raw.images.shape)}".encode())
        digest.update(raw.images.contiguous().numpy().data)
    else:
        names = raw.names or [path.name for path in raw.images.paths]
        for name, path in zip(names, raw.images.paths, strict=True):
            digest.update(f"{name}\0{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    digest.update(ids.contiguous().numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Row:
    """A line of `clusterkit datasets`; `state` is embedded, present, absent or yours."""

    name: str
    state: str
    about: str
    files: list[str]


def listing(root: Path) -> list[Row]:
    """Return a row for every data set, which says whether its files are under `root`."""
    rows = []
    for name, source in SOURCES.items():
        files = source.files(root)
        state = "embedded" if not files else "present" if all(path.exists() for path in files) else "absent"
        rows.append(Row(name, state, source.about, [str(path) for path in files]))
    for name, source in PREFIXES.items():
        arguments = "|".join(source.subsets) or ("PATH" if name == "folder" else "FILE")
        rows.append(Row(f"{name}:{arguments}", "yours" if name in OWN_DATA else "embedded", source.about, []))
    return rows
