"""G on fixed features: a metric that corrects them, and the calibrated similarity of what it gives."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.networks.backbones import BackboneLayers
from clusterkit.networks.calibration import calibrated_without_labels
from clusterkit.networks.evening import Form, Values, fitted, scaled

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

    @classmethod
    def of(cls, centre: Values, matrix: Values) -> "Metric":
        """Return the metric of a centre (D,) and a matrix (D, W)."""
        metric = cls(*matrix.shape)
        metric.centre.copy_(torch.from_numpy(centre))
        metric.matrix.copy_(torch.from_numpy(matrix))
        return metric

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

    def fit(self, x: Tensor) -> Metric:
        """Return the metric with the statistics of features (N, D), of at most MOST random ones.

        If A had no labels, the calibration becomes that of these features too.
        """
        if len(x) > MOST:
            x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:MOST]]
        values, within = x.double().cpu().numpy(), self.within.double().cpu().numpy()
        centre, matrix = fitted(values, within, Form(*self.form.tolist()), seed=0)
        if not within.any():
            scale, bias = calibrated_without_labels(scaled((values - centre) @ matrix))
            self.scale.fill_(scale)
            self.bias.fill_(bias)
        return Metric.of(centre, matrix).to(self.scale.device)

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, B) of all ordered pairs of z (B, W)."""
        return self.scale * (z @ z.T) + self.bias
