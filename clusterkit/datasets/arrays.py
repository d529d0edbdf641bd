"""The user's own arrays: `arrays:FILE` with vectors or images, and `features:FILE` with vectors."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import resized
from clusterkit.datasets.labels import Labels, decoded, of_values, of_words
from clusterkit.datasets.look import polarity
from clusterkit.datasets.tables import EXACT, Content, blocks_of, check_finite, read, text
from clusterkit.errors import InputError, UsageError

log = logging.getLogger("clusterkit")

DARK = 1 / 8
"""Share of the largest possible pixel value below which a largest value that occurs is reported."""
SHIFT = "subtract the value of black from x, so that black is 0"
REMEDY = "name the largest possible value with --pixel-max"


def load(request: Request, *, vectors: bool = False) -> Raw:
    """Read the file of a request: vectors (N, D) or, unless only `vectors` are allowed, images."""
    path = Path(request.argument)
    content = read(path)
    if vectors and content.x.ndim in (3, 4):
        raise InputError(
            f"{path}: x has shape {content.x.shape}, and features: takes vectors (N, D); name images arrays:{path}"
        )
    return to_raw(content, request, path)


def to_raw(content: Content, request: Request, path: Path, remedy: str = REMEDY) -> Raw:
    """Return the content of a file in the form of a data set.

    x holds vectors (N, D), or images (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3. The range of pixels
    follows from their type: 0 to 1 for bool and floats, 0 to 65535 for uint16 and 0 to 255 for other integers. Grey
    images with light borders are inverted to bright ink on dark. Messages of errors begin with `path`, and that of a
    pixel outside its range ends with `remedy`.
    """
    x = content.x
    if x.dtype.kind not in "buif" or x.ndim not in (2, 3, 4) or not x.size:
        raise InputError(
            f"{path}: x is {x.dtype} {x.shape}; expected numbers, not empty, of shape "
            "(N, D), (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    labels, classes = labels_of(content, path)
    names = None if content.names is None else name_items(content.names, len(x), path)
    if x.dtype.kind == "f":
        check_finite(x, "x", path, content.place)
    if x.ndim == 2:
        if request.reading.pixel_max is not None:
            raise UsageError(f"--pixel-max: {path} holds vectors, not images; leave it out")
        return Raw(torch.from_numpy(as_floats(x, path)), labels, classes, names=names, kind=Kind.VECTORS)
    arrange(x, path)
    images = torch.from_numpy(np.ascontiguousarray(arrange(to_bytes(x, request.reading.pixel_max, path, remedy), path)))
    size = min(images.shape[2:]) if request.whole else request.size
    if images.shape[1] == 3:
        images = resized(images, size, request.channels)
        return Raw(images, labels, classes, names=names, kind=Kind.PHOTOS)
    decided = polarity(images, len(images), request, path)
    if decided.inverted:
        images = images.bitwise_not_()
    return Raw(
        resized(images, size, request.channels), labels, classes, names=names, kind=Kind.CHARACTERS,
        inverted=decided.inverted, bright_ink=decided.bright_ink,
    )  # fmt: skip


def labels_of(content: Content, path: Path) -> Labels:
    """Return the labels and classes of a file, if it has any; log how many items are unlabelled."""
    count = len(content.x)
    labels, classes = (None, ()) if content.y is None else of_values(content.y, count, path)
    if content.words is not None:
        labels, classes = of_words(content.words)
    if labels is not None and (labels < 0).any():
        console.once("%s: %d of %d items are unlabelled (their y is -1)", path, int((labels < 0).sum()), count)
    return labels, classes


def as_floats(x: NDArray[Any], path: Path) -> NDArray[np.floating]:
    """Return vectors as float32 if this type holds every value of their type, and otherwise as float64.

    Raises InputError for integers that float64 rounds.
    """
    is_narrow = x.dtype.kind == "b" or x.dtype.itemsize <= (4 if x.dtype.kind == "f" else 2)
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8 and bool(((x > EXACT) | (x < -EXACT)).any()):
        raise InputError(f"{path}: x has integers beyond {EXACT:.0e}, which are rounded; subtract a constant")
    vectors: NDArray[np.floating] = np.require(x, np.float32 if is_narrow else np.float64, ["C", "W"])
    return vectors


def name_items(names: NDArray[Any], count: int, path: Path) -> tuple[str, ...]:
    """Return the names of the items as text. Raises InputError unless each of N items has a name of its own."""
    if names.shape != (count,):
        raise InputError(f"{path}: names has shape {names.shape}; expected ({count},), one name per item")
    if names.dtype.kind not in "iufSU":
        raise InputError(f"{path}: names holds {names.dtype}; write names as text or numbers")
    if names.dtype.kind == "f":
        check_finite(names, "names", path)
    first: dict[str, int] = {}
    for position, value in enumerate(decoded(names, "names", path).tolist()):
        name = text(value)
        if not name:
            raise InputError(f"{path}: item {position} has no name; give each item one, or leave all names out")
        if first.setdefault(name, position) != position:
            raise InputError(
                f"{path}: items {first[name]} and {position} have the same name, {console.printable(name)}; rename one"
            )
    return tuple(first)


def arrange(x: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return images as (N, C, H, W). Raises InputError unless C is 1 or 3."""
    if x.ndim == 3:
        return x[:, None]
    if x.shape[3] in (1, 3):
        return x.transpose(0, 3, 1, 2)
    if x.shape[1] in (1, 3):
        return x
    raise InputError(
        f"{path}: x of shape {x.shape} has neither 1 nor 3 channels; put the channels on its second or last axis"
    )


def to_bytes(x: NDArray[Any], white: float | None, path: Path, remedy: str) -> NDArray[np.uint8]:
    """Return images as new uint8, in which `white` is 255; None takes the largest value that the type stands for.

    Raises InputError for a value outside 0 to `white`, and if different values all become one. The remedy of a white
    that does not fit is `remedy`.
    """
    if white is None:
        white = 1.0 if x.dtype.kind in "bf" else 65535.0 if x.dtype == np.uint16 else 255.0
    pixels, smallest, largest = np.empty(x.shape, np.uint8), white, 0.0
    is_scaled = x.dtype == np.uint8 and white == 255
    for start, block in blocks_of(x):
        outside = np.argwhere((block < 0) | (block > white))
        if len(outside):
            place = ", ".join(str(number) for number in (start + outside[0][0], *outside[0][1:]))
            value = block[tuple(outside[0])]
            raise InputError(
                f"{path}: x[{place}] is {value:g}, outside the range 0 to {white:g} of {x.dtype} pixels; "
                f"{SHIFT if value < 0 else remedy}"
            )
        smallest, largest = min(smallest, float(block.min())), max(largest, float(block.max()))
        pixels[start : start + len(block)] = block if is_scaled else np.rint(block.astype(np.float64) * (255 / white))
    if smallest < largest and np.rint(smallest * (255 / white)) == np.rint(largest * (255 / white)):
        raise InputError(
            f"{path}: x holds values from {smallest:g} to {largest:g}, which are all one grey level in the range 0 to "
            f"{white:g}; {remedy if np.rint(smallest * (255 / largest)) < 255 else SHIFT}"
        )
    if 0 < largest < DARK * white:
        log.warning(
            "%s: the largest value of x is %g of %g, so all images are dark; if white is less, %s",
            *(path, largest, white, remedy), extra={"once": True},
        )  # fmt: skip
    return pixels


def source(load: Callable[[Request], Raw], about: str) -> Source:
    return Source(load, Kind.PHOTOS, about, channels=None)


PREFIXES = {
    "arrays": source(load, "your own vectors or images, with names and classes if known: .npz, .npy, or a table"),
    "features": source(
        partial(load, vectors=True), "your own vectors, with names and classes if known: the same files"
    ),
}
