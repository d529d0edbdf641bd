"""DTC: deep transfer clustering (Han, Vedaldi and Zisserman 2019)."""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.config import Kind
from clusterkit.distributed import gather_rows
from clusterkit.losses.targets import averaged, risen
from clusterkit.methods.common.centres import Sharpening, interval_of, start_centres
from clusterkit.methods.common.joint import Joint, Views
from clusterkit.methods.common.joint_options import DtcOptions, Variant
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.heads import HeadKind

log = logging.getLogger("clusterkit")

INTERVAL = 5
"""Epochs after which the targets are renewed."""
DECAY = 0.6
"""Weight of the earlier epochs in the temporal ensemble."""
RISING = 5
"""Epochs in which the weight of the consistency rises."""


def dtc(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and K centres towards targets that sharpen the assignment to them.

    The centres start as those of k-means on the first K principal components of the features. A warm-up trains the
    network towards fixed targets, then they are renewed every few epochs. The weights, intervals and learning rate are
    those of the paper on CIFAR-10. The schedule of the rate, the batches and the absence of weight decay are those of
    every joint training here.
    """
    options: DtcOptions = question.options
    if items.kind is Kind.VECTORS and options.variant is Variant.PI:
        log.info("cluster %s: vectors are not varied, so --variant pi is the same as baseline", items.subset.name)
    joint = Joint(items, question.k, options, run, HeadKind.CENTRES, hidden=question.k)
    start_centres(joint)
    history = {}
    if options.warm_up:
        warm_up = Consistent(joint.assignment(), Variant.BASELINE, 0)
        history["warm-up"] = joint.train(warm_up, options.warm_up, ", warm-up")
    interval = interval_of(joint, options, INTERVAL)
    terms = Consistent(joint.assignment(), options.variant, interval, options.consistency_weight)
    history["round 1"] = joint.train(terms, options.passes)
    return joint.result(history)


class Consistent(Sharpening):
    """The terms of a variant of DTC, whose targets sharpen the assignment `prob` (N, K) at first.

    Both terms are means over items and clusters, for which the paper's learning rates and weight are meant.
    """

    total: Tensor
    ensemble: Tensor
    latest: Tensor
    weight: Tensor

    def __init__(self, prob: Tensor, variant: Variant, interval: int, highest: float = 0.0) -> None:
        super().__init__(prob, interval)
        self.variant, self.highest = variant, highest
        self.views = 2 if variant is Variant.PI else 1
        self.register_buffer("weight", torch.tensor(highest * risen(0, RISING)))
        if self.by_epochs:
            self.register_buffer("total", torch.zeros_like(prob))
            self.register_buffer("ensemble", torch.full_like(prob, torch.nan))
            self.register_buffer("latest", torch.zeros_like(prob), persistent=False)

    @property
    def by_epochs(self) -> bool:
        """Whether predictions are to agree with their mean over earlier epochs."""
        return self.variant in (Variant.TE, Variant.TEP)

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return 1/K of the mean divergence, and w times the mean of (q_ik - q'_ik)² over items and clusters.

        q' is the prediction of another view, or the temporal ensemble of earlier epochs; in the first epoch it is q.
        """
        log_prob = target.logits.log_softmax(2)
        prob, rows = log_prob[0].exp(), target.index[target.shard.rows]
        losses = {"targets": self.divergence(target, log_prob[0]) / prob.shape[1]}
        if self.variant is Variant.BASELINE:
            return losses
        other = log_prob[-1].exp()
        if self.by_epochs:
            self.latest[target.index] = gather_rows(prob.detach())
            earlier = self.ensemble[rows]
            other = torch.where(earlier.isnan(), prob.detach(), earlier)
        return {**losses, "consistency": self.weight * F.mse_loss(prob, other) * target.shard.weight}

    def renew(self, epoch: int, joint: Joint) -> None:
        self.weight.fill_(self.highest * risen(epoch, RISING))
        if self.by_epochs:
            self.total.copy_(averaged(self.total, self.latest, DECAY))
            self.ensemble.copy_(self.total / (1 - DECAY**epoch))
        if self.interval and epoch % self.interval == 0:
            self.sharpen(self.ensemble if self.variant is Variant.TEP else joint.assignment(), epoch)
