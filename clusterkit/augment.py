"""Augmentation of whole batches on their device."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.config import Kind
from clusterkit.device import send
from clusterkit.distributed import Share

ROTATION = 12.0
SCALE = 0.15
SHEAR = 0.15
SHIFT = 0.1
PHOTO_SHIFT = 0.125
TURNED_FROM = 100
"""From how many classes on a batch's characters are turned: among few, a turned 6 is a 9."""


def to_float(items: Tensor) -> Tensor:
    """Scale uint8 images to 0..1; leave vectors as they are."""
    return items.float() / 255 if items.dtype == torch.uint8 else items


def augment(items: Tensor, kind: Kind, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Return a random variation of each item: float (B, C, H, W) in 0..1, or vectors (B, D), which stay as they are.

    Characters are rotated, scaled, sheared and shifted a little; photos are shifted and mirrored. Items that are a
    share of a batch are varied as they would be in the whole of it.
    """
    if kind is Kind.VECTORS:
        return items
    share = share or Share(0, len(items), len(items))

    def uniform(limit: float) -> Tensor:
        return torch.empty(share.total).uniform_(-limit, limit, generator=generator)[share.rows]

    if kind is Kind.PHOTOS:
        flip = torch.randint(2, (share.total,), generator=generator)[share.rows].float() * 2 - 1
        rows = [
            [flip, 0 * flip, uniform(2 * PHOTO_SHIFT)],
            [0 * flip, 0 * flip + 1, uniform(2 * PHOTO_SHIFT)],
        ]
    else:
        angle = uniform(ROTATION) * math.pi / 180
        scale, aspect = 1 + uniform(SCALE), 1 + uniform(SCALE / 2)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        rows = [[cos * aspect, uniform(SHEAR) - sin, uniform(SHIFT)], [sin, cos / aspect, uniform(SHIFT)]]
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(send(matrix, items.device), list(items.shape), align_corners=False)
    padding = "reflection" if kind is Kind.PHOTOS else "zeros"
    return F.grid_sample(items, grid, padding_mode=padding, align_corners=False)


def quarter_turns(items: Tensor, groups: int, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Turn each of `groups` equal runs of images by a random multiple of 90 degrees.

    A turned character is another character, so this makes four classes of each. Of a share of a batch, `groups` are
    those of the batch.
    """
    share = share or Share(0, len(items), len(items))
    turns = torch.randint(4, (groups,), generator=generator).tolist()
    run = share.total // groups
    bounds = [min(max(group * run - share.start, 0), len(items)) for group in range(groups + 1)]
    return torch.cat([items[a:b].rot90(turn, (2, 3)) for a, b, turn in zip(bounds, bounds[1:], turns, strict=False)])
