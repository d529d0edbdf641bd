"""Finding and reading image files, and bringing images to one size and number of channels."""

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.datasets.decode import decode, quiet
from clusterkit.datasets.decoded import Decoded
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
BLOCK = 1000
LUMA = (0.299, 0.587, 0.114)

MEMORY = 2**30
"""Above this many bytes of decoded images, files are read while they are used."""


def resized(images: Tensor, size: int, channels: int | None) -> Tensor:
    """Turn uint8 images (N, C, H, W) with C = 1 or 3 into uint8 (N, `channels`, size, size).

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


def image_files(place: Path) -> list[Path]:
    """Return the image files below a folder, sorted by path; hidden files and folders are skipped."""
    files = []
    for folder, subfolders, names in os.walk(place):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES)


def class_files(place: Path, without: Collection[str] = ()) -> dict[str, list[Path]]:
    """Return the sorted image files of each class; a class is a folder in `place` with images below it.

    Folders named in `without` are not read. Raises InputError if `place` cannot be listed.
    """
    try:
        folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{place}: cannot be read as a folder ({error.strerror}); name another folder") from error
    files = {folder.name: image_files(folder) for folder in folders if folder.name not in without}
    return {name: paths for name, paths in files.items() if paths}


def read_images(paths: Sequence[Path], size: int, channels: int) -> Tensor:
    """Read image files as uint8 (N, C, size, size). Raises InputError that names the first unreadable file."""
    images, errors = try_to_read(paths, size, channels)
    for position in sorted(errors):
        raise errors[position]
    return images


def try_to_read(paths: Sequence[Path], size: int, channels: int) -> tuple[Tensor, dict[int, InputError]]:
    """Read image files as uint8 (N, C, size, size); return also the errors of unreadable files, by position."""
    pixels = np.zeros((len(paths), size, size, channels), dtype=np.uint8)
    errors: dict[int, InputError] = {}

    def read(start: int) -> None:
        for position in range(start, min(start + 64, len(paths))):
            try:
                pixels[position] = decode(paths[position], size, channels)
            except InputError as error:
                errors[position] = error

    with quiet(), ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        list(pool.map(read, range(0, len(paths), 64)))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), errors


def read_or_stream(paths: Sequence[Path], size: int, channels: int) -> Tensor | Stream:
    """Read image files as uint8 (N, C, size, size), or return a `Stream` of them if they take more than MEMORY bytes.

    Raises InputError that names an unreadable file; a `Stream` raises it when the file is read.
    """
    if fits(len(paths), size, channels):
        return read_images(paths, size, channels)
    return streamed(paths, size, channels)


def fits(count: int, size: int, channels: int) -> bool:
    """Return whether so many images are held in memory, and not read while they are used."""
    return count * size**2 * channels <= MEMORY


def streamed(paths: Sequence[Path], size: int, channels: int) -> Stream:
    """Return a `Stream` of image files with a cache of their decoded images."""
    cache = Decoded(tuple(paths), size, channels)
    return Stream(cache.paths, size, channels, kept=cache)


def negative(images: Tensor | Stream) -> Tensor | Stream:
    """Return images with dark ink on light as images with bright ink on dark."""
    return images.bitwise_not_() if isinstance(images, Tensor) else replace(images, invert=True)


def damaged_data(path: Path, error: Exception | str) -> InputError:
    """Return the error for a file of a data set with unexpected content."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path}: damaged, or not the file of this data set ({reason}); replace it")


def check_labels(labels: Tensor, images: Tensor, classes: int, path: Path) -> None:
    """Raise InputError unless each image has one label (N,) in 0..classes - 1."""
    if len(labels) != len(images):
        raise damaged_data(path, f"{len(labels)} labels for {len(images)} images")
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise damaged_data(path, f"labels outside the {classes} classes")
