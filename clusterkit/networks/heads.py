"""The layers above the features of a clustering network, from features (B, D) to K outputs."""

from enum import StrEnum

import torch
from torch import Tensor, nn

ALPHA = 1.0
"""Degrees of freedom of Student's t-distribution around the centres (DEC, DTC)."""
TINY = 1e-12
"""Least squared distance whose logarithm is taken."""


class HeadKind(StrEnum):
    """The layers of a head. Its last layer has the outputs, and those before it make the hidden values."""

    HIDDEN = "hidden"
    """A hidden layer and the outputs (L2C, figure 4)."""
    LINEAR = "linear"
    """The outputs alone; the hidden values are the features."""
    FACTORS = "factors"
    """A space of factors in 0..1 and the outputs (SUPREME, section 3.2)."""
    CENTRES = "centres"
    """A projection and one centre for each output (DEC; DTC)."""


def build_head(kind: HeadKind, features: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return the layers of a head; `hidden` is the width of its hidden values, which a linear head does not have."""
    match kind:
        case HeadKind.HIDDEN:
            return nn.Sequential(
                nn.Linear(features, hidden, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(inplace=True),
                nn.Linear(hidden, outputs),
            )
        case HeadKind.LINEAR:
            return nn.Sequential(nn.Linear(features, outputs))
        case HeadKind.FACTORS:
            return nn.Sequential(nn.Linear(features, hidden), nn.Sigmoid(), nn.Linear(hidden, outputs))
        case HeadKind.CENTRES:
            return nn.Sequential(nn.Linear(features, hidden), Centres(hidden, outputs))


class Centres(nn.Module):
    """K centres, to each of which an item has a logit by Student's t-distribution."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(outputs, width))

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, K) of values (B, H), whose softmax is the t-distribution (DEC, equation 1)."""
        return student_logits(squared_distances(z, self.centres), ALPHA)


def squared_distances(z: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distances (B, K) of values (B, H) to centres (K, H)."""
    products = z @ centres.T
    return (z.square().sum(1, keepdim=True) - 2 * products + centres.square().sum(1)).clamp_min(0)


def student_logits(squares: Tensor, alpha: float) -> Tensor:
    """Return the logarithm of (1 + d² / alpha) ^ (-(alpha + 1) / 2) for squared distances d² (SUPREME, equation 1).

    For `alpha` 0 this is its limit, -log d, up to a constant that a softmax over the centres takes out.
    """
    if alpha == 0:
        return squares.clamp_min(TINY).log() / -2
    return torch.log1p(squares / alpha) * (-(alpha + 1) / 2)
