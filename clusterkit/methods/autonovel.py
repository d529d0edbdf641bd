"""AutoNovel: clusters and features from pairs that share their largest features (Han et al. 2020)."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.autonovel import inconsistency, largest, pair_entropy, same_sets
from clusterkit.losses.targets import risen
from clusterkit.methods.common.joint import Joint, Terms, Views, source_entropy, source_logits
from clusterkit.methods.common.joint_options import AutonovelOptions
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.heads import HeadKind

INCREMENT = 0.05
"""Highest weight of the classification of T's items into their own clusters."""


def autonovel(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and clusters from pairs of items that count as similar if their largest features are the same.

    The source and the target have a linear head each on the features. The weights are those of the paper on CIFAR-10,
    and so is the highest learning rate. Its schedule, its batches and the absence of weight decay are those of every
    joint training here.
    """
    options: AutonovelOptions = question.options
    assert items.source is not None
    classes = len(items.source.classes)
    outputs = classes + question.k if options.incremental else classes
    joint = Joint(items, question.k, options, run, HeadKind.LINEAR, classes=outputs)
    assert options.top < joint.net.network.backbone.features
    return joint.result({"round 1": joint.train(AutonovelTerms(options, classes), options.passes)})


class AutonovelTerms(Terms):
    """The terms of AutoNovel for a source of `classes` classes.

    `part` () is the part of their highest values that rising weights have reached.
    """

    part: Tensor

    def __init__(self, options: AutonovelOptions, classes: int) -> None:
        super().__init__()
        self.options, self.classes = options, classes
        self.register_buffer("part", torch.tensor(risen(0, options.rising_epochs)))

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
            for logits in (views.logits, source_logits(views))
        )
        items = target.shard.total + source.shard.total
        losses = {
            "source": options.source_weight * source_entropy(source, labels) * source.shard.weight,
            "pairs": pair_entropy(first, second, same_sets(ranks, gather_rows(ranks))),
            "consistency": options.consistency_weight * self.part * apart / items,
        }
        if options.incremental:
            own = self.classes + first.argmax(1)
            losses["incremental"] = INCREMENT * self.part * source_entropy(target, own) * weight
        return losses

    def renew(self, epoch: int, joint: Joint) -> None:
        """Raise the weights."""
        self.part.fill_(risen(epoch, self.options.rising_epochs))
