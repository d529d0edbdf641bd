"""Centres of clusters in a space of principal components, and targets that sharpen the assignment to them."""

import logging

import numpy as np
import torch
from torch import Tensor, nn

from clusterkit.distributed import first_says
from clusterkit.losses.targets import divergences, sharpened
from clusterkit.methods.common.joint import Joint, Terms, Views, first_groups
from clusterkit.methods.common.problem import Array
from clusterkit.networks.heads import Centres
from clusterkit.networks.predict import predict

log = logging.getLogger("clusterkit")

ROUNDING = float(np.finfo(np.float32).eps)
"""Relative error of the features, which a network computes in float32."""


def principal_axes(values: Array, count: int) -> Array:
    """Return the first principal axes (M, D) of values (N, D), as unit vectors; M is at most `count` and their rank.

    M is 0 if all values are equal but for rounding.
    """
    from sklearn.decomposition import PCA

    items, width = values.shape
    if not np.ptp(values, 0).any():
        return np.zeros((0, width))
    solver = "covariance_eigh" if width <= items else "full"
    found = PCA(min(count, items, width), svd_solver=solver).fit(values - values.mean(0))
    noise = ROUNDING * np.abs(values).max() * (1 + (width / items) ** 0.5)
    axes: Array = found.components_[np.sqrt(found.explained_variance_) > noise]
    return axes


def start_centres(joint: Joint) -> None:
    """Set the head of a joint training to principal components of its features and the centres of k-means there.

    The head's projection (M, D) has M principal axes. If the features have a smaller rank R, the last M - R rows are
    zero and stay so, because the loss has no gradient there, and a log line says so.
    """
    projection, centres = joint.net.network.head
    assert isinstance(projection, nn.Linear)
    assert isinstance(centres, Centres)
    values, name, width = joint.features(), joint.subset.name, projection.out_features
    axes = principal_axes(values, width)
    if len(axes) < width:
        text = "cluster %s: the features have rank %d, so %d principal components are used instead of %d"
        log.info(text, name, len(axes), len(axes), width)
    weight = np.zeros((width, values.shape[1]))
    weight[: len(axes)] = axes
    _, means = first_groups((values - values.mean(0)) @ weight.T, joint.k, joint.seed, name)
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(weight))
        projection.bias.copy_(torch.from_numpy(-weight @ values.mean(0)))
        centres.centres.copy_(torch.from_numpy(means))


def assignment(joint: Joint) -> Tensor:
    """Return the network's assignment probabilities (N, K) of the clean items of the target, float32 on the CPU."""
    return predict(joint.net.network, joint.subset, joint.run.device)


class Sharpening(Terms):
    """KL(p || q) towards targets p (N, K) that sharpen the assignment `prob` (N, K), renewed every `interval` epochs.

    With `interval` 0 the targets stay. The training ends where the share of items that have changed their cluster since
    the targets were last renewed is below `tolerance`; None never ends it.
    """

    views = 1
    target: Tensor
    clusters: Tensor

    def __init__(self, prob: Tensor, interval: int, tolerance: float | None = None) -> None:
        super().__init__()
        self.interval, self.tolerance = interval, tolerance
        self.register_buffer("target", sharpened(prob))
        self.register_buffer("clusters", prob.argmax(1))

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return the mean over items (DEC, equation 2)."""
        return {"targets": self.divergence(target, target.logits[0].log_softmax(1))}

    def divergence(self, target: Views, log_prob: Tensor) -> Tensor:
        """Return this process's part () of the mean divergence of a batch, of whose rows here log q is (b, K)."""
        share = target.shard
        return divergences(self.target[target.index[share.rows]], log_prob).mean() * share.weight

    def renew(self, epoch: int, joint: Joint) -> None:
        if self.interval and epoch % self.interval == 0:
            self.sharpen(assignment(joint), epoch, joint)

    def sharpen(self, prob: Tensor, epoch: int, joint: Joint) -> None:
        """Set the targets to the sharpened assignment (N, K)."""
        clusters = prob.argmax(1).to(self.clusters)
        changed = int((clusters != self.clusters).sum())
        self.target.copy_(sharpened(prob))
        self.clusters.copy_(clusters)
        if self.tolerance is not None:
            # Processes that round differently must end with the same epoch.
            self.ended = bool(first_says(int(changed < self.tolerance * len(clusters))))
            if self.ended:
                text = "cluster %s: ends after epoch %d, as only %d items have another cluster than at the last targets"
                log.info(text, joint.subset.name, epoch, changed)
