"""Augmentation of batches on their device."""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.config import Kind, Variation
from clusterkit.device import send
from clusterkit.distributed import Share
from clusterkit.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """The largest changes of a character.

    `rotation` is in degrees, `shift` and `bending` are in half sides of the image, all others are shares.
    """

    rotation: float
    scale: float
    aspect: float
    shear: float
    shift: float
    bending: float
    """Standard deviation of the shifts at a square of BENDS x BENDS points."""
    erased: float = 0
    """The share of characters in which a random rectangle is erased."""


LIMITS = {
    Variation.MILD: Limits(12.0, 0.15, 0.075, 0.15, 0.1, 0),
    Variation.STRONG: Limits(15.0, 0.2, 0.12, 0.25, 0.12, 0.06),
    Variation.ERASED: Limits(12.0, 0.15, 0.075, 0.15, 0.1, 0, erased=0.6),
}
BENDS = 5
RECTANGLE = 0.15, 0.45
"""The smallest and largest side of an erased rectangle as shares of the image's: it can hide a stroke."""
PHOTO_SHIFT = 0.125
"""The largest shift of a photo, as a share of its side."""
PART = 0.6
"""The smallest side of the part of a photo that a strong variation shows in full size, as a share."""
LIGHT = 0.4
"""The largest change of brightness, contrast and saturation in a strong variation of a photo, as a share."""
TURNED_FROM = 100
"""Characters of a batch are turned if the set has at least this many classes: among digits, a turned 6 is a 9."""


def check_variation(variation: Variation, kind: Kind, name: str) -> None:
    """Raise UsageError for a variation that does not apply to this kind of items."""
    kinds = {Variation.STRONG: (Kind.CHARACTERS, Kind.PHOTOS), Variation.ERASED: (Kind.CHARACTERS,)}
    if kind not in kinds.get(variation, Kind):
        raise UsageError(
            f"--variation {variation}: {name} holds {kind}, not {' or '.join(kinds[variation])}; leave it out"
        )


def to_float(items: Tensor) -> Tensor:
    """Scale uint8 images to 0..1; vectors are returned unchanged."""
    return items.float() / 255 if items.dtype == torch.uint8 else items


def augment(
    items: Tensor,
    kind: Kind,
    generator: torch.Generator,
    share: Share | None = None,
    variation: Variation = Variation.MILD,
    flipped: Tensor | None = None,
) -> Tensor:
    """Return a random variation of each item: images (B, C, H, W) in 0..1; vectors (B, D) are returned unchanged.

    Characters are rotated, scaled, sheared and shifted a little. `strong` changes them more and bends them; `erased`
    also blanks a part of some. Photos are shifted by whole pixels, and those that `flipped` (b,) marks are mirrored,
    or each with a chance of one half; instead of shifting them, `strong` shows a part of each, and changes brightness,
    contrast and saturation. `none` changes nothing. With `share`, the items are this process's b rows of a batch and
    vary exactly as they do in a batch on a single process.
    """
    if kind is Kind.VECTORS or variation is Variation.NONE:
        return items
    share = share or Share(0, len(items), len(items))
    if kind is Kind.PHOTOS:
        if flipped is None:
            flipped = torch.randint(2, (share.total,), generator=generator)[share.rows] == 1
        if variation is Variation.STRONG:
            drawn = send(torch.rand(6, share.total, generator=generator)[:, share.rows], items.device)
            return recoloured(zoomed(items, drawn[:3], send(flipped, items.device)), *(1 + LIGHT * (2 * drawn[3:] - 1)))
        shifts = [
            torch.randint(-most, most + 1, (share.total,), generator=generator)[share.rows]
            for most in (int(PHOTO_SHIFT * side) for side in items.shape[2:])
        ]
        return shifted(items, *(send(values, items.device) for values in (*shifts, flipped)))
    limits = LIMITS[variation]

    def uniform(limit: float) -> Tensor:
        return torch.empty(share.total).uniform_(-limit, limit, generator=generator)[share.rows]

    angle = uniform(limits.rotation) * math.pi / 180
    scale, aspect = 1 + uniform(limits.scale), 1 + uniform(limits.aspect)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [
        [cos * aspect, uniform(limits.shear) - sin, uniform(limits.shift)],
        [sin, cos / aspect, uniform(limits.shift)],
    ]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(send(matrix, items.device), list(items.shape), align_corners=False)
    if limits.bending:
        points = torch.randn(share.total, 2, BENDS**2, generator=generator)[share.rows] * limits.bending
        grid = grid + bent(send(points, items.device), *items.shape[2:])
    varied = F.grid_sample(items, grid, align_corners=False)
    if limits.erased:
        drawn = torch.rand(5, share.total, generator=generator)[:, share.rows]
        varied = erase(varied, send(drawn[:4], items.device), send(drawn[4] < limits.erased, items.device))
    return varied


def shifted(items: Tensor, down: Tensor, right: Tensor, flipped: Tensor) -> Tensor:
    """Return photos (B, C, H, W) mirrored where `flipped` (B,), then shifted by whole pixels `down` and `right` (B,).

    What moves in is the reflection of the photo at its outermost pixels. A shift is smaller than a side.
    """
    height, width = items.shape[2:]
    rows, columns = _reflected(down, height), _reflected(right, width)
    columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    # One index for all channels: a look-up in two dimensions takes ten times as long.
    index = (rows[:, :, None] * width + columns[:, None]).flatten(1)[:, None]
    return items.flatten(2).gather(2, index.expand(-1, items.shape[1], -1)).view(items.shape)


def zoomed(items: Tensor, drawn: Tensor, flipped: Tensor) -> Tensor:
    """Return a part of each photo (B, C, H, W) in the photo's size, mirrored where `flipped` (B,).

    `drawn` (3, B) in 0..1 gives the side of the part and the place of its centre, right and down. The part reaches at
    most as far beyond the photo as a shift does, where it shows the photo's reflection.
    """
    side = PART + (1 - PART) * drawn[0]
    right, down = (2 * drawn[1:] - 1) * (1 - side + 2 * PHOTO_SHIFT)
    nothing = torch.zeros_like(side)
    rows = [[torch.where(flipped, -side, side), nothing, right], [nothing, side, down]]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(matrix, list(items.shape), align_corners=False)
    return F.grid_sample(items, grid, padding_mode="reflection", align_corners=False)


def recoloured(items: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Return photos (B, C, H, W) in 0..1 with their light changed by factors (B,); 1 changes nothing.

    Contrast is the distance from the photo's mean, and saturation that of a channel from the pixel's mean.
    """
    brightness, contrast, saturation = (factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation))
    mean = items.mean((1, 2, 3), keepdim=True)
    grey = items.mean(1, keepdim=True)
    changed = mean + contrast * (grey - mean + saturation * (items - grey))
    return (brightness * changed).clamp_(0, 1)


def _reflected(shift: Tensor, side: int) -> Tensor:
    """Return the positions (B, side) that are read for a shift (B,), those outside reflected."""
    positions = (torch.arange(side, device=shift.device) - shift[:, None]).abs()
    return torch.minimum(positions, 2 * (side - 1) - positions)


def erase(items: Tensor, drawn: Tensor, chosen: Tensor) -> Tensor:
    """Blank a rectangle in each `chosen` (B,) image; `drawn` (4, B) in 0..1 gives its height, width, top and left."""
    low, high = RECTANGLE
    size = torch.tensor(items.shape[2:], device=items.device).view(2, 1)
    sides = (low + (high - low) * drawn[:2]) * size
    starts = drawn[2:] * (size - sides)
    rows, columns = (
        (positions >= start[:, None]) & (positions < (start + side)[:, None])
        for positions, start, side in zip(
            (torch.arange(count, device=items.device) for count in items.shape[2:]), starts, sides, strict=True
        )
    )
    blank = rows[:, :, None] & columns[:, None] & chosen[:, None, None]
    return items.masked_fill(blank[:, None], 0)


def bent(points: Tensor, height: int, width: int) -> Tensor:
    """Return smooth shifts (B, H, W, 2) that interpolate the shifts at a square of P x P points (B, 2, P^2)."""
    side = math.isqrt(points.shape[2])
    units = torch.eye(side**2, device=points.device).view(-1, 1, side, side)
    # Interpolation is linear in the values, so one product with the weights interpolates every image.
    weights = F.interpolate(units, size=(height, width), mode="bicubic", align_corners=True).flatten(1)
    shifts: Tensor = (points @ weights).view(-1, 2, height, width)
    return shifts.permute(0, 2, 3, 1)


def quarter_turns(items: Tensor, groups: int, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Turn each of `groups` equal runs of square images (B, C, S, S) by a random multiple of 90 degrees.

    A turned character is another character, so each class becomes four. With `share`, `groups` counts the runs of the
    full batch.
    """
    share = share or Share(0, len(items), len(items))
    turns = torch.randint(4, (groups,), generator=generator)
    turns = send(turns.repeat_interleave(share.total // groups)[share.rows], items.device)
    # One look-up: many small operations would keep a GPU waiting.
    index = _turned(items.shape[2], items.device)[turns][:, None].expand(-1, items.shape[1], -1)
    return items.flatten(2).gather(2, index).view(items.shape)


@cache
def _turned(side: int, device: torch.device) -> Tensor:
    """Return the pixels (4, S^2) of a square that come to each place when it is turned by 0, 90, 180, 270 degrees."""
    pixels = torch.arange(side**2, device=device).view(side, side)
    return torch.stack([pixels.rot90(turn) for turn in range(4)]).flatten(1)
