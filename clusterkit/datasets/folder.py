"""The user's own image files: `folder:PATH`, with one subfolder per class, or flat and without labels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import (
    SUFFIXES,
    class_files,
    image_files,
    read_images,
    read_or_stream,
)
from clusterkit.datasets.look import Look, look, polarity, spread
from clusterkit.errors import InputError


def load(request: Request) -> Raw:
    """Read a folder in the order of its paths; grey images with light borders are inverted to bright ink on dark."""
    place = Path(request.argument)
    classes, paths, labels = find(place)
    check_not_empty(paths)
    seen = look(paths, request.size)
    channels = request.channels or (1 if seen.grey else 3)
    report(place, seen, channels, request.size)
    inverted, bright_ink = None, False
    is_for_a_network = request.inverted is not None or request.unclear is not None
    if seen.grey or (channels == 1 and is_for_a_network):
        borders = read_images(spread(paths, 100), request.size, 1)
        decided = polarity(borders, len(paths), request, place)
        inverted, bright_ink = decided.inverted, decided.bright_ink
    return Raw(
        read_or_stream(paths, request.size, channels, invert=bool(inverted)),
        labels,
        classes,
        names=tuple(path.relative_to(place).as_posix() for path in paths),
        files=tuple(paths),
        kind=Kind.CHARACTERS if seen.grey else Kind.PHOTOS,
        inverted=inverted,
        bright_ink=bright_ink,
    )


def report(place: Path, seen: Look, channels: int, size: int) -> None:
    """Log how images of different sizes and colours, and of values without a range, become alike."""
    if seen.mixed or seen.sizes > 1:
        sizes = f"{seen.sizes} sizes" if seen.sizes > 1 else "one size"
        colours = ", some are grey and some in colour" if seen.mixed else ""
        console.once(
            f"{place}: the images have {sizes}{colours}; "
            f"all are read as {'grey' if channels == 1 else 'colour'}, {size} x {size}"
        )
    if seen.stretched:
        console.once(
            f"{place}: {len(seen.stretched)} of {seen.count} images, such as {seen.stretched[0].name}, do not say the "
            "range of their values; each is scaled by its own smallest and largest value"
        )


def find(place: Path) -> tuple[tuple[str, ...], list[Path], Tensor | None]:
    """Return the classes, the image files and their labels (N,); a flat folder has no classes and labels None.

    Raises InputError for a folder without images or with only one class.
    """
    tree = class_files(place)
    if not tree:
        paths = image_files(place)
        if not paths:
            kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
            raise InputError(f"{place}: no images in this folder ({kinds}); name another folder")
        return (), paths, None
    if len(tree) == 1:
        name = next(iter(tree))
        raise InputError(
            f"{place}: one class only ('{name}'); put every class into its own subfolder, "
            f"or name folder:{place / name} to read it without labels"
        )
    loose = len(image_files(place)) - sum(len(members) for members in tree.values())
    if loose:
        console.once(f"{place}: {loose} images outside the class folders are ignored")
    counts = torch.tensor([len(members) for members in tree.values()])
    paths = [path for members in tree.values() for path in members]
    return tuple(tree), paths, torch.arange(len(tree)).repeat_interleave(counts)


def check_not_empty(paths: Sequence[Path]) -> None:
    """Raise InputError if any file has no bytes; decoding every file here would take too long."""
    try:
        empty = [path for path in paths if path.stat().st_size == 0]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); remove or replace it") from error
    if empty:
        more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise InputError(f"{empty[0]}{more}: an empty file; remove or replace it")


PREFIXES = {
    "folder": Source(
        load,
        Kind.PHOTOS,
        "PATH: your own images, one subfolder per class, or a flat folder without labels",
        size=64,
        channels=3,
    )
}
