"""A network for photos of 32 x 32 that learns in few passes, behind a first layer that its images determine."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.augment import to_float
from clusterkit.datasets.base import Subset
from clusterkit.device import derive_seed

WIDTHS = (64, 128, 128)
SIDE = 2
"""Side in pixels of the patches that are whitened."""
IMAGES = 5000
"""The most images of a set by which its patches are whitened."""
LEAST_VARIANCE = 5e-4
"""Is added to the variance of a patch in each direction, so that noise alone is not scaled up to one."""


class Whitening(nn.Conv2d):
    """A 2x2 convolution that is not trained: its outputs are whitened patches, and the same negated.

    `whiten` or a saved state sets its weights. Until then they are no numbers, so that no training succeeds without.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * channels * SIDE**2, SIDE, bias=False)
        self.weight.requires_grad_(False).fill_(torch.nan)

    def forward(self, x: Tensor) -> Tensor:
        # In bfloat16 the small differences that are scaled up would be mostly rounding. On `meta` there is no autocast.
        device = "cpu" if x.is_meta else x.device.type
        with torch.autocast(device, enabled=False):
            return super().forward(x)


def fast_layers(channels: int) -> list[nn.Module]:
    """Return the layers of `vgg-fast`: whitening, and three groups of two convolutions, the first with 2x2 pooling."""
    whitening = Whitening(channels)
    inputs = (whitening.out_channels, *WIDTHS)
    groups = [_group(a, b) for a, b in zip(inputs, WIDTHS, strict=False)]
    return [whitening, nn.GELU(), *groups, nn.AdaptiveMaxPool2d(1)]


def _group(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU(),
        _convolution(outputs, outputs), nn.BatchNorm2d(outputs), nn.GELU(),
    )  # fmt: skip


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first outputs are its inputs, as far as they go; the others start at random."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def whiten(network: nn.Module, standardise: nn.Module, items: Subset, seed: int) -> None:
    """Set the whitening layers of a network by random images of a set; a network without such a layer stays as it is.

    The patches are those of the images after `standardise`.
    """
    layers = [module for module in network.modules() if isinstance(module, Whitening)]
    if layers:
        generator = torch.Generator().manual_seed(derive_seed(seed, "whitening"))
        chosen = torch.randperm(len(items), generator=generator)[:IMAGES].sort().values
        filters = whitening_filters(standardise(to_float(block)) for block in items.take(chosen).blocks())
        for layer in layers:
            layer.weight.copy_(filters)


def whitening_filters(blocks: Iterable[Tensor]) -> Tensor:
    """Return the filters (2D, C, 2, 2) that whiten the D = 4C values of patches of images, in blocks (B, C, H, W).

    The outputs of the first D have about unit variance and no correlation; the other D are their negatives.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for block in blocks:
        channels = block.shape[1]
        patches = F.unfold(block.double(), SIDE).transpose(0, 1).flatten(1)
        count += patches.shape[1]
        total = total + patches.sum(1)
        products = products + patches @ patches.T
    mean = total / count
    variances, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    # Of a direction and its opposite, rounding must not decide which comes first.
    weights = torch.arange(1.0, len(mean) + 1, dtype=mean.dtype).sqrt()
    directions = directions * torch.where(weights @ directions < 0, -1, 1)
    filters = (directions / (variances + LEAST_VARIANCE).sqrt()).T.reshape(-1, channels, SIDE, SIDE)
    return torch.cat([filters, -filters])
