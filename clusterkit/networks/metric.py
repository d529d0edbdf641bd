"""G on fixed features: a metric that corrects them, and the calibrated similarity of what it gives."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.networks.backbones import BackboneLayers


class Metric(BackboneLayers):
    """Rows of length one of (x - centre) matrix, (B, W) from features (B, D).

    A row that is the centre itself stays zero.
    """

    centre: Tensor
    matrix: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__(width)
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("matrix", torch.eye(count, width))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize((x - self.centre) @ self.matrix)

    def take_statistics(self, blocks: Callable[[], Iterator[Tensor]]) -> None:
        """Set the centre to the mean of the features that `blocks` yields."""
        total, count = torch.zeros(self.centre.shape, dtype=torch.float64), 0
        for block in blocks():
            total += block.double().sum(0).cpu()
            count += len(block)
        self.centre.copy_(total / count)


class CosineHead(nn.Module):
    """The calibrated similarity of two items: logit = scale z_i . z_j + bias, for rows z of length one."""

    scale: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, B) of all ordered pairs of z (B, W)."""
        return self.scale * (z @ z.T) + self.bias
