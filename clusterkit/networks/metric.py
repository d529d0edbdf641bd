"""G on fixed features: a metric that corrects them, and the calibrated similarity of what it gives."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.networks.backbones import BackboneLayers
from clusterkit.networks.correction import Form, fitted

MOST = 20_000
"""The most items whose statistics a metric takes."""


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


class CosineHead(nn.Module):
    """The calibrated similarity of two items: logit = scale z_i . z_j + bias, for rows z of length one.

    It also holds what the metric is fitted again with on other items: the covariance `within` classes of A (D, D), zero
    if A has no labels, and the `form` (2,) of the correction.
    """

    scale: Tensor
    bias: Tensor
    within: Tensor
    form: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("within", torch.zeros(count, count))
        self.register_buffer("form", torch.zeros(2))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    def fitted(self, x: Tensor) -> Metric:
        """Return the metric with the statistics of features (N, D), of at most MOST random ones."""
        if len(x) > MOST:
            x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:MOST]]
        form = Form(*self.form.tolist())
        centre, matrix = fitted(x.double().cpu().numpy(), self.within.cpu().numpy(), form, seed=0)
        metric = Metric(*matrix.shape)
        metric.centre.copy_(torch.from_numpy(centre))
        metric.matrix.copy_(torch.from_numpy(matrix))
        return metric.to(self.scale.device)

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, B) of all ordered pairs of z (B, W)."""
        return self.scale * (z @ z.T) + self.bias
