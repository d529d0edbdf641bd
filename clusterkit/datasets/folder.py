"""The user's own image files: `folder:PATH`, with one subfolder per class, or flat and without labels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import (
    MEMORY,
    SUFFIXES,
    class_files,
    image_files,
    is_light,
    read_images,
    read_or_stream,
)
from clusterkit.datasets.stream import UNREADABLE, unreadable
from clusterkit.errors import InputError

GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}


def load(request: Request) -> Raw:
    """Read a folder in the order of its paths; grey images with light borders are inverted to bright ink on dark."""
    place = Path(request.argument)
    classes, paths, labels = listed(place, request.files) if request.files else find(place)
    check_not_empty(paths)
    modes, sizes = headers(paths if len(paths) * request.size**2 <= MEMORY else spread(paths, 1000))
    grey = modes <= GREY
    channels = request.channels or (1 if grey else 3)
    if len(modes) > 1 or len(sizes) > 1:
        console.once(
            f"{place}: the images have {len(sizes)} sizes and the modes: {', '.join(sorted(modes))}; "
            f"all are read as {'grey' if channels == 1 else 'colour'}, {request.size} x {request.size}"
        )
    invert = request.inverted
    if invert is None:
        invert = grey and is_light(read_images(spread(paths, 100), request.size, 1))
    if invert:
        console.once(f"{place}: the image borders are light, so the images are inverted to bright ink on dark")
    return Raw(
        read_or_stream(paths, request.size, channels, invert=invert),
        labels,
        classes,
        names=tuple(path.relative_to(place).as_posix() for path in paths),
        files=tuple(paths),
        kind=Kind.CHARACTERS if grey else Kind.PHOTOS,
        inverted=invert if grey else None,
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


def listed(place: Path, files: Sequence[str]) -> tuple[tuple[str, ...], list[Path], Tensor | None]:
    """Return what `find` returns, for image files that were named one by one."""
    return (), [place / file for file in files], None


def check_not_empty(paths: Sequence[Path]) -> None:
    """Raise InputError if any file has no bytes; decoding every file here would take too long."""
    try:
        empty = [path for path in paths if path.stat().st_size == 0]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); remove or replace it") from error
    if empty:
        more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
        raise InputError(f"{empty[0]}{more}: an empty file; remove or replace it")


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Return at most `count` of the files, evenly spaced."""
    return [paths[i * len(paths) // count] for i in range(count)] if len(paths) > count else list(paths)


def headers(paths: Sequence[Path]) -> tuple[set[str], set[tuple[int, int]]]:
    """Return the modes and sizes that occur among image files, without decoding the pixels."""
    modes, sizes = set(), set()
    for path in paths:
        try:
            with Image.open(path) as image:
                modes.add(image.mode)
                sizes.add(image.size)
        except UNREADABLE as error:
            raise unreadable(path, error) from error
    return modes, sizes


PREFIXES = {
    "folder": Source(
        load,
        Kind.PHOTOS,
        "PATH: your own images, one subfolder per class, or a flat folder without labels",
        size=64,
        channels=3,
    )
}
