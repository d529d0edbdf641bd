"""The program's own fixed backbone: that of its G of characters, beside small pixels."""

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
PIXELS = 16
"""Side of the small pictures whose pixels stand beside G's features, for what G has not learned from characters."""
SHARE = 0.4
"""Length of the pixels beside G's features, which have length one; on digits, letters and signs none was better."""


class Characters(nn.Module):
    """From pictures (B, 3, S, S) with values from 0 to 1 to features (B, D): those of G, then small pixels.

    A picture with light borders is inverted, because G learned bright ink on dark. G's features have length one. Pixels
    are (PIXELS^2) values less their mean, of length SHARE.
    """

    def __init__(self, g: SimilarityNet) -> None:
        super().__init__()
        self.g = g

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features (B, D + PIXELS^2)."""
        grey = (pictures * torch.tensor(LUMA, device=pictures.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
        borders = torch.cat([grey[:, 0, 0], grey[:, 0, -1], grey[:, 0, :, 0], grey[:, 0, :, -1]], 1)
        light = borders.median(1).values > 0.5
        ink = torch.where(light[:, None, None, None], 1 - grey, grey)
        pixels = F.adaptive_avg_pool2d(ink, PIXELS).flatten(1)
        pixels = F.normalize(pixels - pixels.mean(1, keepdim=True))
        return torch.cat([F.normalize(self.g.features(ink)), SHARE * pixels], 1)


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
