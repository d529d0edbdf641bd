"""AutoNovel: clusters and features from pairs that share their largest features (Han et al. 2020)."""

import logging
import math
from dataclasses import replace

import torch
from torch import Tensor

from clusterkit.device import derive_seed
from clusterkit.distributed import first_says, gather_rows
from clusterkit.losses.autonovel import inconsistency, largest, pair_entropy, same_sets
from clusterkit.losses.targets import risen
from clusterkit.methods.common.joint import Joint, Terms, Views, source_entropy, source_logits
from clusterkit.methods.common.joint_options import MOST_TOP, AutonovelOptions
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.networks.heads import HeadKind

log = logging.getLogger("clusterkit")

SAMPLE = 2000
"""The most items whose pairs decide on it."""
INCREMENT = 0.05
"""Highest weight of the classification of T's items into their own clusters."""


def autonovel(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and clusters from pairs of items that count as similar if their largest features are the same.

    The source and the target have a linear head each on the features. The weights are those of the paper on CIFAR-10,
    and so is the highest learning rate. Its schedule, its batches and the absence of weight decay are those of every
    joint training here. The paper compares the 5 largest of 512 features; how many pairs then count as similar depends
    on the network, so the number follows from the first features here, unless it is typed. Features are compared by
    their distance above the mean of the batch: one that is large in all items would make all of them similar.
    """
    options: AutonovelOptions = question.options
    assert items.source is not None
    classes = len(items.source.classes)
    outputs = classes + question.k if options.incremental else classes
    joint = Joint(items, question.k, options, run, HeadKind.LINEAR, classes=outputs)
    if options.top is None:
        options = replace(options, top=suitable_top(joint))
    return joint.result({"round 1": joint.train(AutonovelTerms(options, classes), options.passes)})


def suitable_top(joint: Joint) -> int:
    """Return how many largest features to compare, up to MOST_TOP: the share of similar pairs is nearest to 1/K.

    So it would be if clusters of equal sizes were found. The share is that among random items, by their first features.
    """
    generator = torch.Generator().manual_seed(derive_seed(joint.run.seed, "top", joint.subset.name))
    chosen = torch.randperm(len(joint.subset), generator=generator)[:SAMPLE]
    values = torch.from_numpy(joint.features(chosen)).float()
    values = values - values.mean(0)
    count, pairs = len(values), max(1, len(values) * (len(values) - 1))
    shares = {}
    for top in range(1, min(MOST_TOP, values.shape[1] - 1) + 1):
        ranks = largest(values, top)
        shares[top] = (int(same_sets(ranks, ranks).sum()) - count) / pairs
    best = first_says(min(shares, key=lambda top: abs(math.log(max(shares[top], 1 / pairs) * joint.k))))
    log.info(
        "cluster %s: two items count as similar if their %d largest features are the same (--top), as in %.2g of pairs",
        joint.subset.name, best, shares[best],
    )  # fmt: skip
    return best


def centred(features: Tensor) -> Tensor:
    """Return this process's features (b, D) less their mean over the whole batch."""
    features = features.detach()
    return features - gather_rows(features).mean(0)


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
        assert options.top is not None
        ranks = largest(centred(target.hidden[0]), options.top)
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
