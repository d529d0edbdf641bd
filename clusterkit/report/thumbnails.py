"""Small pictures of items, as data URIs."""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from clusterkit.datasets.base import Subset
from clusterkit.datasets.decode import quiet, thumbnail
from clusterkit.errors import InputError

SIDE = 96
"""Pixels of the longer side."""
QUALITY = 80
SMALL = 64
"""Grey images up to this side are stored without loss; they are drawings, which JPEG blurs."""
ENLARGED = 48
"""Smaller images are shown enlarged, to at least this many pixels."""
BLOCK = 256


@dataclass(frozen=True)
class Thumbnail:
    """A data URI, and the width and height in which it is shown."""

    uri: str
    width: int
    height: int
    is_enlarged: bool


def thumbnails(subset: Subset, positions: Sequence[int], *, inverted: bool) -> dict[int, Thumbnail | None]:
    """Return the thumbnails of the items at positions; None for a picture that can no longer be read.

    Pictures come from the image files if there are any, else from the pixels, which are `inverted` back.
    """
    if subset.files is None:
        images = (
            image for part in torch.tensor(positions).split(BLOCK) for image in from_pixels(subset, part, inverted)
        )
        return dict(zip(positions, images, strict=True))
    files = [subset.files[position] for position in positions]
    with quiet(), ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return dict(zip(positions, pool.map(from_file, files), strict=True))


def from_file(path: Path) -> Thumbnail | None:
    try:
        return encoded(thumbnail(path, 2 * SIDE))
    except InputError:
        return None


def from_pixels(subset: Subset, positions: torch.Tensor, inverted: bool) -> list[Thumbnail | None]:
    try:
        pixels = next(subset.batches([positions]))
    except InputError:
        return [None] * len(positions)
    pixels = (~pixels if inverted else pixels).permute(0, 2, 3, 1)
    arrays = [(image[:, :, 0] if image.shape[2] == 1 else image).numpy() for image in pixels]
    return [encoded(Image.fromarray(array)) for array in arrays]


def encoded(image: Image.Image) -> Thumbnail:
    """Return the thumbnail of a grey or colour image."""
    image.thumbnail((SIDE, SIDE))
    factor = max(1, -(-ENLARGED // max(image.size)))
    kind = "png" if image.mode == "L" and max(image.size) <= SMALL else "jpeg"
    content = io.BytesIO()
    image.save(content, kind, quality=QUALITY, optimize=True)
    text = base64.b64encode(content.getvalue()).decode()
    width, height = (side * factor for side in image.size)
    return Thumbnail(f"data:image/{kind};base64,{text}", width, height, factor > 1)
