"""What a sample of images shows: grey or colour, and the polarity of ink and background."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.datasets.base import Request
from clusterkit.datasets.decode import GREY_MODES, decode, opened, quiet, value_range
from clusterkit.errors import InputError

SAMPLE = 1000
"""The most images whose colours are examined."""

TOLERANCE = 8
"""The largest difference between the channels of a grey pixel: lossy formats add faint colours."""

ENOUGH, CLEAR = 20, 0.9
"""The polarity of a set is clear if it has so many images, and this share of them agrees."""


@dataclass(frozen=True)
class Look:
    """The properties of a sample of `count` readable image files.

    `grey` says whether none has colours, and `mixed` whether only some have. `sizes` counts the different sizes.
    `stretched` are the files of integers or floats that do not say the range of their values.
    """

    count: int
    grey: bool
    mixed: bool
    sizes: int
    stretched: tuple[Path, ...]


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Return at most `count` of the files, evenly spaced."""
    return [paths[i * len(paths) // count] for i in range(count)] if len(paths) > count else list(paths)


def look(paths: Sequence[Path], size: int) -> Look:
    """Return what at most SAMPLE of the files show, evenly spaced, as images of `size` pixels a side.

    Colours are decided by the pixels: pictures of RGB or of a palette can be grey. Unreadable files do not count.
    """

    def header(path: Path) -> list[tuple[Path, bool, tuple[int, int], bool]]:
        with suppress(InputError), opened(path) as image:
            is_stretched = image.mode[0] in "IF" and None in value_range(image)
            return [(path, image.mode in GREY_MODES, image.size, is_stretched)]
        return []

    def has_colour(path: Path) -> list[bool]:
        with suppress(InputError):
            pixels = decode(path, size, 3)
            return [bool((pixels.max(2) - pixels.min(2)).max() > TOLERANCE)]
        return []

    with quiet(), ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        headers = list(chain(*pool.map(header, spread(paths, SAMPLE))))
        undecided = [path for path, is_grey, _, _ in headers if not is_grey]
        blocks = (undecided[start : start + 16] for start in range(0, len(undecided), 16))
        # The first pictures of a set of photos decide it, so that few are decoded twice.
        first = next((colours for block in blocks if any(colours := list(chain(*pool.map(has_colour, block))))), [])
    return Look(
        len(headers),
        not first,
        any(first) and (not all(first) or len(undecided) < len(headers)),
        len({size for _, _, size, _ in headers}),
        tuple(path for path, _, _, is_stretched in headers if is_stretched),
    )


@dataclass(frozen=True)
class Polarity:
    """Whether dark ink on light is inverted, and whether the images then clearly have bright ink on dark."""

    inverted: bool
    bright_ink: bool


def borders(images: Tensor) -> Tensor:
    """Return the border pixels (N, P) of grey images (N, 1, H, W)."""
    return torch.cat([images[:, 0, 0], images[:, 0, -1], images[:, 0, :, 0], images[:, 0, :, -1]], dim=1)


def is_light(images: Tensor) -> bool:
    """Return whether the borders of grey images (N, 1, H, W) are mostly light, which means dark ink."""
    return bool(borders(images).median() > 127)


def polarity(images: Tensor, count: int, request: Request, title: object) -> Polarity:
    """Decide by a sample of grey images (N, 1, H, W) of a set of `count` images whether to invert the set.

    Light borders mean dark ink, which is inverted to bright ink on dark. The images for a network whose own images had
    this form are brought to it if their borders are clear, and are otherwise treated as those of the network.
    """
    light = int((borders(images).median(1).values > 127).sum()) / len(images)
    inverted, by_borders = request.inverted, is_light(images)
    if inverted is None and request.unclear is None:
        inverted = by_borders
        if inverted:
            console.once(f"{title}: the image borders are light, so the images are inverted to bright ink on dark")
    elif inverted is None:
        is_clear = count >= ENOUGH and max(light, 1 - light) >= CLEAR
        inverted = light > 0.5 if is_clear else bool(request.unclear)
        if inverted and is_clear:
            console.once(f"{title}: the images are inverted to bright ink on dark, as the training images are")
        elif inverted:
            console.once(f"{title}: the images are inverted, as the training images were")
        elif by_borders:
            console.once(
                f"{title}: some image borders are light, but the images stay as they are, as the training images did"
            )
    return Polarity(inverted, (light if inverted else 1 - light) >= CLEAR)
