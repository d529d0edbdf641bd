"""The user's own image files: `folder:PATH`, with one subfolder per class, or flat and without labels."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.artifacts.files import write_text
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.find import Found, Why, find, named, reason_of
from clusterkit.datasets.images import fits, negative, read_images, streamed, try_to_read
from clusterkit.datasets.look import Look, look, polarity, spread
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError, OneClassError
from clusterkit.reading import Reading


def load(request: Request) -> Raw:
    """Read a folder in the order of its paths; grey images with light borders are inverted to bright ink on dark.

    An id is a position among all images found, so that it stays the same after an unreadable image is mended.
    """
    place, reading = Path(request.argument), request.reading
    if request.files:
        reading = replace(reading, flat=True)
        found = named(place, request.files)
    else:
        found = find(place, reading)
    classes, labels = classes_of(found, reading)
    files = [file.path for file in found.files]
    bad = {file.path: file.bad for file in found.files if file.bad}
    paths = [path for path in files if path not in bad]
    seen = look(paths, request.size)
    channels = request.channels or (1 if seen.grey else 3)
    images, errors = read_readable(paths, request.size, channels)
    bad |= errors
    settle(found, bad, reading)
    report(found.title, seen, None if request.whole else channels, request.size)
    ids = torch.tensor([number for number, path in enumerate(files) if path not in bad])
    paths = [files[number] for number in ids.tolist()]
    inverted, bright_ink = None, False
    is_for_a_network = request.inverted is not None or request.unclear is not None
    if seen.grey or (channels == 1 and is_for_a_network):
        borders = read_images(spread(paths, 100), request.size, 1)
        decided = polarity(borders, len(paths), request, found.title)
        inverted, bright_ink = decided.inverted, decided.bright_ink
    return Raw(
        negative(images) if inverted else images,
        None if labels is None else labels[ids],
        classes,
        ids=ids,
        names=tuple(found.files[number].name for number in ids.tolist()),
        files=tuple(paths),
        listed=tuple(file.name for file in found.files) if found.is_listed else (),
        kind=Kind.CHARACTERS if seen.grey else Kind.PHOTOS,
        inverted=inverted,
        bright_ink=bright_ink,
    )


def report(title: str, seen: Look, channels: int | None, size: int) -> None:
    """Log how images of different sizes and colours, and of values without a range, become alike.

    `channels` None says that pictures are read at their own sizes and in their colours.
    """
    if channels is not None and (seen.mixed or seen.sizes > 1):
        sizes = f"{seen.sizes} sizes" if seen.sizes > 1 else "one size"
        colours = ", some are grey and some in colour" if seen.mixed else ""
        console.once(
            f"{title}: the images have {sizes}{colours}; "
            f"all are read as {'grey' if channels == 1 else 'colour'}, {size} x {size}"
        )
    if seen.stretched:
        console.once(
            f"{title}: {len(seen.stretched)} of {seen.count} images, such as "
            f"{console.printable(seen.stretched[0].name)}, do not say the range of their values; each is scaled by its "
            "own smallest and largest value"
        )


def classes_of(found: Found, reading: Reading) -> tuple[tuple[str, ...], Tensor | None]:
    """Return the classes, which are the subfolders with images, and the labels (N,) of the files; () and None without.

    Files outside the class folders, and second names of a file, are left out of `found`. Raises InputError for a folder
    without images or with only one class.
    """
    classes = () if reading.flat else tuple(dict.fromkeys(file.folder for file in found.files if file.folder))
    loose = found.leave_out_loose() if classes else 0
    in_two = 0 if reading.keep_duplicates else found.leave_out_second_names()
    if classes and in_two:
        console.once(f"{found.place}: files with names in two classes: {in_two}; the first name decides on the class")
    if not found.files and found.closed:
        settle(found, {}, reading)
    if not found.files:
        left_out = found.summary()
        raise InputError(
            f"{found.place}: no images in this folder{f' (left out: {left_out})' if left_out else ''}; "
            "name another folder"
        )
    if not classes:
        return (), None
    if len(classes) == 1:
        beside = f", and {loose} images outside it" if loose else ""
        raise OneClassError(str(found.place), f"one class only ('{classes[0]}'){beside}")
    numbers = {name: number for number, name in enumerate(classes)}
    labels = [numbers[file.folder] for file in found.files]
    return classes, torch.tensor(labels)


def read_readable(paths: Sequence[Path], size: int, channels: int) -> tuple[Tensor | Stream, dict[Path, str]]:
    """Return the readable ones of these images, and why the others are unreadable, by path."""
    images: Tensor | Stream
    if fits(len(paths), size, channels):
        images, errors = try_to_read(paths, size, channels)
    else:
        images = streamed(paths, size, channels)
        errors = images.unreadable()
    if errors:
        good = torch.tensor([number for number in range(len(paths)) if number not in errors], dtype=torch.int64)
        images = images[good] if isinstance(images, Tensor) else images.take(good)
    return images, {paths[number]: reason_of(paths[number], errors[number]) for number in sorted(errors)}


def settle(found: Found, bad: dict[Path, str], reading: Reading) -> None:
    """Say what is left out. Raises InputError for unreadable images, unless they are to be left out too."""
    title, count = found.title, len(found.files) - len(bad)
    bad = {**bad, **found.closed}
    lines = [f"{console.printable(str(path))}: {bad[path]}" for path in sorted(bad, key=os.fsencode)]
    if bad and not (reading.skip_bad and count):
        which, them = (
            (lines[0], "it") if len(lines) == 1 else (f"{title}: {len(lines)} unreadable: {in_one_line(lines)}", "them")
        )
        others = "other files" if found.is_listed else "another folder"
        # Some commands read a set that an earlier one named, and have no such flag.
        remedy = f"leave {them} out with --skip-bad in the command that names the set" if count else f"name {others}"
        raise InputError(f"{which}; remove or replace {them}, or {remedy}")
    if len(lines) > MANY and (file := listed(lines)):
        lines = [f"{title}: {len(bad)} unreadable images are left out, see {file}"]
    for line in lines if console.processes()[0] == 0 else ():
        console.log.warning("%s", line, extra={"once": True})
    found.left_out[Why.BAD] = [""] * len(bad)
    if left_out := found.summary():
        console.once(f"{title}: {count} images; left out: {left_out}")


MANY = 10
"""The most unreadable images that messages name."""


def in_one_line(lines: list[str]) -> str:
    """Return the first lines as one, and where all are if they are many."""
    if len(lines) <= MANY:
        return ", ".join(lines)
    file = listed(lines)
    return f"{', '.join(lines[:3])} and {len(lines) - 3} more{f', see {file}' if file else ''}"


def listed(lines: list[str]) -> Path | None:
    """Write lines to `unreadable.txt` in the work folder of the command; return its path, or None if that fails."""
    folder = console.work_folder()
    if folder is None:
        return None
    path = folder / "unreadable.txt"
    try:
        write_text(path, "".join(f"{line}\n" for line in lines))
    except InputError:
        return None
    return path


PREFIXES = {
    "folder": Source(
        load,
        Kind.PHOTOS,
        "PATH: your own images, one subfolder per class, or a flat folder without labels",
        size=64,
        channels=3,
    )
}
