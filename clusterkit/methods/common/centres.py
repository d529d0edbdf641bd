"""Centres of clusters in a space of principal components, and targets that sharpen the assignment to them."""

import logging

import numpy as np
import torch
from torch import Tensor, nn

from clusterkit.distributed import first_says
from clusterkit.losses.targets import divergences, sharpened
from clusterkit.methods.common.joint import Joint, Terms, Views, first_groups
from clusterkit.methods.common.joint_options import TargetOptions
from clusterkit.methods.common.problem import Array
from clusterkit.networks.heads import Centres

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
    analysis = PCA(min(count, items, width), svd_solver=solver).fit(values - values.mean(0))
    noise = ROUNDING * np.abs(values).max() * (1 + (width / items) ** 0.5)
    axes: Array = analysis.components_[np.sqrt(analysis.explained_variance_) > noise]
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


def interval_of(joint: Joint, options: TargetOptions, usual: int) -> int:
    """Return the epochs between two renewals: those of the options, or else `usual`, or half of a shorter training.

    A log line says if the training is shorter, or so short that the targets stay.
    """
    if options.interval is not None:
        return options.interval
    epochs, name = options.passes, joint.subset.name
    interval = max(1, min(usual, epochs // 2))
    if epochs == 1:
        log.info("cluster %s: the targets stay, as the training has a single epoch", name)
    elif interval < usual:
        text = "cluster %s: the targets are renewed after %d epochs, half of the training, instead of %d"
        log.info(text, name, interval, usual)
    return interval


class Sharpening(Terms):
    """KL(p || q) towards targets p (N, K) that sharpen the assignment `prob` (N, K), renewed every `interval` epochs.

    With `interval` 0 the targets stay. The training ends where the share of items that have changed their cluster since
    the targets were last renewed is below `tolerance`, but not before the epoch `earliest`; None never ends it.
    """

    views = 1
    target: Tensor
    clusters: Tensor

    def __init__(self, prob: Tensor, interval: int, tolerance: float | None = None, earliest: int = 0) -> None:
        super().__init__()
        self.interval, self.tolerance, self.earliest = interval, tolerance, earliest
        self.register_buffer("target", sharpened(prob))
        if tolerance is not None:
            self.register_buffer("clusters", prob.argmax(1))

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return the mean over items (DEC, equation 2)."""
        return {"targets": self.divergence(target, target.logits[0].log_softmax(1))}

    def divergence(self, target: Views, log_prob: Tensor) -> Tensor:
        """Return this process's part () of the mean divergence of a batch, of whose rows here log q is (b, K)."""
        shard = target.shard
        return divergences(self.target[target.index[shard.rows]], log_prob).mean() * shard.weight

    def renew(self, epoch: int, joint: Joint) -> None:
        if self.interval and epoch % self.interval == 0:
            self.sharpen(joint.assignment(), epoch)

    def sharpen(self, prob: Tensor, epoch: int) -> None:
        """Set the targets to the sharpened assignment (N, K) after an epoch, and find whether the training ends."""
        self.target.copy_(sharpened(prob))
        if self.tolerance is None:
            return
        clusters = prob.argmax(1).to(self.clusters)
        changed = int((clusters != self.clusters).sum())
        self.clusters.copy_(clusters)
        # Processes that round differently must end with the same epoch.
        is_still = first_says(int(changed < self.tolerance * len(clusters)))
        if is_still and epoch >= self.earliest:
            self.end = f"only {changed} items have another cluster than at the last targets"
