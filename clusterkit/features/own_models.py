"""The program's own fixed backbone: that of its G of characters, beside edges for what G has not learned."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.artifacts.lineage import learned_from
from clusterkit.config import CHARACTERS_FILE, CHARACTERS_G
from clusterkit.errors import UsageError
from clusterkit.features.card import Card, unknown
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.read import read_g

LUMA = (0.299, 0.587, 0.114)
BINS = 8
"""Directions of edges in a cell."""
CELL = 8
"""Pixels from one cell to the next, which is twice as wide."""
WIDTH = 8
"""Pixels of strokes beside which the edges have length one. G learned strokes of three."""
MOST = 3
"""Largest length of the edges."""
TINY = 1e-6


class Characters(nn.Module):
    """From pictures (B, 3, S, S) with values from 0 to 1 to features (B, D): those of G, then those of edges.

    A picture with light borders is inverted, because G learned bright ink on dark. G's features have length one. The
    edges' have length (width of the strokes / WIDTH)^2, at most MOST: the wider the strokes, the less G knows of them.
    """

    def __init__(self, g: SimilarityNet) -> None:
        super().__init__()
        self.g = g

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features (B, D)."""
        grey = (pictures * torch.tensor(LUMA, device=pictures.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
        borders = torch.cat([grey[:, 0, 0], grey[:, 0, -1], grey[:, 0, :, 0], grey[:, 0, :, -1]], 1)
        light = borders.median(1).values > 0.5
        ink = torch.where(light[:, None, None, None], 1 - grey, grey)
        share = (stroke_width(ink) / WIDTH).square().clamp(max=MOST)
        return torch.cat([F.normalize(self.g.features(ink)), share[:, None] * edges(ink)], 1)


def stroke_width(ink: Tensor) -> Tensor:
    """Return the mean width (B,) in pixels of the strokes of ink (B, 1, S, S): twice its area divided by its outline.

    Blurred strokes have the width of sharp ones.
    """
    across = ink[:, :, :-1, 1:] - ink[:, :, :-1, :-1]
    down = ink[:, :, 1:, :-1] - ink[:, :, :-1, :-1]
    outline = (across**2 + down**2).sqrt().sum((1, 2, 3))
    return 2 * ink.sum((1, 2, 3)) / outline.clamp(min=TINY)


def edges(ink: Tensor) -> Tensor:
    """Return features (B, E) of length one of ink (B, 1, S, S): how much edge of each direction a cell has.

    They are the roots of histograms of oriented gradients (Dalal and Triggs 2005), less their mean. A picture without
    edges has zeros.
    """
    smooth = F.avg_pool2d(F.pad(ink, (1, 1, 1, 1), mode="replicate"), 3, 1)
    across = F.pad(smooth[..., 2:] - smooth[..., :-2], (1, 1))
    down = F.pad(smooth[..., 2:, :] - smooth[..., :-2, :], (0, 0, 1, 1))
    strength = (across**2 + down**2).sqrt()
    turn = torch.atan2(down, across) % torch.pi / torch.pi * BINS
    lower = turn.floor()
    upper_part = strength * (turn - lower)
    histogram = strength.new_zeros(len(ink), BINS, *ink.shape[2:])
    histogram.scatter_add_(1, lower.long() % BINS, strength - upper_part)
    histogram.scatter_add_(1, (lower.long() + 1) % BINS, upper_part)
    histogram = F.avg_pool2d(histogram, 2 * CELL, CELL).clamp(min=0)
    # A cell of faint edges counts for nearly as much as one of strong edges.
    strength = histogram.sum(1, keepdim=True)
    histogram = histogram / torch.hypot(strength, strength.mean((2, 3), keepdim=True) / 2).clamp(min=TINY)
    roots = histogram.flatten(1).sqrt()
    return F.normalize(roots - roots.mean(1, keepdim=True))


def card(name: str, size: int | None) -> Card:
    """Return what the program says of its backbone. Raises UsageError for another name or size."""
    if name != CHARACTERS_G:
        raise unknown("clusterkit", name, [CHARACTERS_G])
    header, g = read_g(CHARACTERS_FILE)
    own = g.architecture.shape[1]
    if size not in (None, own):
        raise UsageError(f"--size {size}: clusterkit:{name} takes pictures of {own} pixels only; leave out --size")
    return Card(
        name=name, licence="MIT", size=own, crop=1.0, mode="center", interpolation="bilinear", mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0), files=(CHARACTERS_FILE.name,), packaged=CHARACTERS_FILE,
        learned_from=tuple(learned_from(header, CHARACTERS_FILE)),
    )  # fmt: skip


def plain(card: Card) -> nn.Module:
    """Return the network with the weights of the program."""
    return Characters(read_g(CHARACTERS_FILE)[1])


def loaded(card: Card, state: dict[str, Tensor]) -> tuple[nn.Module, list[str], list[str]]:
    """Return the network with the state dict of a G. Raises RuntimeError for a state of other shapes or keys."""
    g = read_g(CHARACTERS_FILE)[1]
    g.load_state_dict(state)
    return Characters(g), [], []


def patch_side(network: nn.Module) -> int:
    """Return 1, because the network does not cut pictures into squares."""
    return 1
