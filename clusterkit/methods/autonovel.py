"""AutoNovel: clusters and features from pairs that share their largest features (Han et al. 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.errors import UsageError
from clusterkit.losses.autonovel import inconsistency, largest, pair_entropy, same_sets
from clusterkit.losses.targets import ramp
from clusterkit.methods.common.joint import Joint, Terms, Views
from clusterkit.methods.common.joint_options import AutonovelOptions
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.heads import HeadKind

INCREMENT = 0.05
"""Highest weight of the classification of T's items into their own clusters."""


def autonovel(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and clusters from pairs of items that count as similar if their largest features are the same.

    The source and the target have a linear head each on the features. Raises UsageError for fewer features than tell
    items apart.
    """
    options: AutonovelOptions = question.options
    assert items.source is not None
    classes = len(items.source.classes)
    outputs = classes + question.k if options.incremental else classes
    joint = Joint(items, question.k, options, run, HeadKind.LINEAR, classes=outputs)
    width = joint.net.network.backbone.features
    if options.top >= width:
        raise UsageError(
            f"--top {options.top}: of {width} features, so no two items would differ; give a smaller number or more "
            "features"
        )
    return joint.result({"round 1": joint.train(AutonovelTerms(options, classes), options.passes)})


class AutonovelTerms(Terms):
    """The terms of AutoNovel for a source of `classes` classes.

    `share` () is the part of their highest weights that rising weights have reached.
    """

    share: Tensor

    def __init__(self, options: AutonovelOptions, classes: int) -> None:
        super().__init__()
        self.options, self.classes = options, classes
        self.register_buffer("share", torch.tensor(ramp(0, options.ramp)))

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return each term with its weight. All items count equally in the consistency, those of either set."""
        assert source is not None
        assert labels is not None
        options, weight = self.options, target.shard.weight
        first, second = target.logits
        ranks = largest(target.hidden[0], options.top)
        apart = sum(
            inconsistency(*logits.softmax(2)).sum()
            for views in (target, source)
            for logits in (views.logits, of_source(views))
        )
        items = target.shard.total + source.shard.total
        losses = {
            "source": options.source_weight * cross_entropy(source, labels) * source.shard.weight,
            "pairs": pair_entropy(first, second, same_sets(ranks, gather_rows(ranks))),
            "consistency": options.consistency_weight * self.share * apart / items,
        }
        if options.incremental:
            own = self.classes + first.argmax(1)
            losses["incremental"] = INCREMENT * self.share * cross_entropy(target, own) * weight
        return losses

    def renew(self, epoch: int, joint: Joint) -> None:
        """Raise the weights of the ramp."""
        self.share.fill_(ramp(epoch, self.options.ramp))


def of_source(views: Views) -> Tensor:
    """Return the logits (V, b, K) of the source's head."""
    assert views.source_logits is not None
    return views.source_logits


def cross_entropy(views: Views, labels: Tensor) -> Tensor:
    """Return the mean cross entropy () of the source's head in all views with labels (b,)."""
    logits = of_source(views)
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))
