"""Images brought to one form, square and of the channels asked for; image files found and read."""

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.datasets.decoded import Decoded
from clusterkit.datasets.stream import Stream, decode
from clusterkit.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
BLOCK = 1000
LUMA = (0.299, 0.587, 0.114)

MEMORY = 2**30
"""Bytes of decoded images above which files are read while they are used."""


def resized(images: Tensor, size: int, channels: int | None) -> Tensor:
    """Turn uint8 images (N, C, H, W), C being 1 or 3, into uint8 (N, `channels`, size, size).

    The shorter side is scaled to `size` and the middle is kept. `channels` None keeps C.
    """
    count, depth, height, width = images.shape
    if (height, width) == (size, size) and channels in (None, depth):
        return images.contiguous()
    scale = size / min(height, width)
    scaled = [max(size, round(side * scale)) for side in (height, width)]
    top, left = ((side - size) // 2 for side in scaled)
    fitted = torch.empty(count, channels or depth, size, size, dtype=torch.uint8)
    for start in range(0, count, BLOCK):
        block = images[start : start + BLOCK].float()
        if depth == 3 and channels == 1:
            block = (block * torch.tensor(LUMA).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
        if scaled != [height, width]:
            block = F.interpolate(block, size=scaled, mode="bilinear", antialias=True)
        block = block[:, :, top : top + size, left : left + size]
        fitted[start : start + BLOCK] = block.round_().clamp_(0, 255)
    return fitted


def is_light(images: Tensor) -> bool:
    """Say whether the border of grey images (N, 1, H, W) is mostly light, so that the ink is dark."""
    sides = [images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]]
    return bool(torch.cat([side.flatten() for side in sides]).median() > 127)


def image_files(place: Path) -> list[Path]:
    """Return the image files below a folder, sorted by name; hidden files and folders are left out."""
    found = []
    for folder, subfolders, names in os.walk(place):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def class_files(place: Path, without: Collection[str] = ()) -> dict[str, list[Path]]:
    """Return the image files of each class, sorted: a class is a folder in `place` with images below it.

    Folders named in `without` are left out, unread. Raises InputError for a place that cannot be listed.
    """
    try:
        folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{place}: not a folder that can be read ({error.strerror}); name another") from error
    files = {folder.name: image_files(folder) for folder in folders if folder.name not in without}
    return {name: paths for name, paths in files.items() if paths}


def read_images(paths: Sequence[Path], size: int, channels: int) -> Tensor:
    """Read image files as uint8 (N, C, size, size). Raises InputError naming the first unreadable one."""
    pixels = np.empty((len(paths), size, size, channels), dtype=np.uint8)

    def read(start: int) -> None:
        for position in range(start, min(start + 64, len(paths))):
            pixels[position] = decode(paths[position], size, channels)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        list(pool.map(read, range(0, len(paths), 64)))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def read_or_stream(paths: Sequence[Path], size: int, channels: int, *, invert: bool = False) -> Tensor | Stream:
    """Read image files as uint8 (N, C, size, size), or leave them to a `Stream` where they are too large for memory.

    `invert` turns dark ink on light into bright on dark. Raises InputError naming an unreadable file; of a stream,
    once it is read.
    """
    if len(paths) * size**2 * channels > MEMORY:
        kept = Decoded(tuple(paths), size, channels)
        return Stream(kept.paths, size, channels, invert, kept)
    images = read_images(paths, size, channels)
    return images.bitwise_not_() if invert else images


def damaged_data(path: Path, error: Exception | str) -> InputError:
    """Return the error for a data set's own file that does not hold what it should."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path}: damaged, or not the file of this data set ({reason}); get it again")


def check_labels(labels: Tensor, images: Tensor, classes: int, path: Path) -> None:
    """Raise InputError where labels (N,) are not one of `classes` an image."""
    if len(labels) != len(images):
        raise damaged_data(path, f"{len(labels)} labels for {len(images)} images")
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise damaged_data(path, f"labels outside the {classes} classes")
