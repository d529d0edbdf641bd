"""G on fixed features: a metric that corrects them, and the calibrated similarity of what it gives."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.networks.backbones import BackboneLayers
from clusterkit.networks.calibration import calibrated_without_labels
from clusterkit.networks.evening import Form, Values, by_content, fitted, scaled

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
        rows = (x - self.centre) @ self.matrix
        # The squares of very small or large values are no numbers of float32.
        largest = rows.abs().amax(1, keepdim=True)
        return F.normalize(rows / largest.masked_fill(largest == 0, 1))


class CosineHead(nn.Module):
    """The calibrated similarity of two items: logit = scale z_i . z_j + bias, for rows z of length one.

    It also holds what the metric is fitted again with on other items: the covariance `within` classes of A (D, D), the
    `form` (2,) of the correction, and whether it was learned from labels (`labelled`).
    """

    scale: Tensor
    bias: Tensor
    within: Tensor
    form: Tensor
    labelled: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("within", torch.zeros(count, count))
        self.register_buffer("form", torch.zeros(2))
        self.register_buffer("labelled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    def fit(self, x: Tensor) -> Metric:
        """Return the metric with the statistics of features (N, D), of at most MOST random ones.

        If nothing was learned from labels, the calibration becomes that of these features too.
        """
        # In an order by content, so that the order of the items does not matter to the random draws.
        order = by_content(x.cpu().numpy())
        if len(x) > MOST:
            order = order[torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).numpy()[:MOST]]
        values, within = x.cpu()[order].double().numpy(), self.within.cpu().double().numpy()
        centre, matrix = fitted(values, within, Form(*self.form.tolist()), seed=0)
        if not self.labelled:
            scale, bias = calibrated_without_labels(scaled((values - centre) @ matrix))
            self.scale.fill_(scale)
            self.bias.fill_(bias)
        return Metric.of(centre, matrix).to(self.scale.device)

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, B) of all ordered pairs of z (B, W)."""
        return self.scale * (z @ z.T) + self.bias
