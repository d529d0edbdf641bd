"""SUPREME: clusters and features from soft constraints and self-supervision (Huang and Gong 2020)."""

import torch
from torch import Tensor

from clusterkit.distributed import gather_rows
from clusterkit.losses.supreme import agreement, constrained, imbalance, indecision, weighted_constraints
from clusterkit.methods.common.joint import Joint, Terms, Views, first_groups, source_entropy
from clusterkit.methods.common.joint_options import SupremeOptions
from clusterkit.methods.common.problem import Array, Clustering, Items, Question, Run
from clusterkit.networks.heads import HeadKind, squared_distances, student_logits


def supreme(items: Items, question: Question, run: Run) -> Clustering:
    """Train features and clusters from the constraints that k-means on the first features gives.

    The assignment of the first features to the centres of k-means gives each pair of items a soft constraint and a
    confidence, which stay as they are. Two views of an item always belong together. Source and target share a space of
    nearly binary factors, in which each has a linear classifier.
    """
    options: SupremeOptions = question.options
    assert items.source is not None
    joint = Joint(
        items, question.k, options, run, HeadKind.FACTORS, hidden=options.factors, classes=len(items.source.classes)
    )
    values = joint.features()
    _, centres = first_groups(values, question.k, joint.seed, joint.subset.name)
    prior = first_assignment(values, centres, options.alpha)
    return joint.result({"round 1": joint.train(SupremeTerms(prior, options), options.passes)})


def first_assignment(values: Array, centres: Array, alpha: float) -> Tensor:
    """Return the probabilities (N, K) of values (N, D) for centres (K, D), float32 (equation 1)."""
    squares = squared_distances(torch.from_numpy(values), torch.from_numpy(centres))
    return student_logits(squares, alpha).softmax(1).float()


class SupremeTerms(Terms):
    """The terms of SUPREME, from the first assignment (N, K) of the target's items."""

    # The paper perturbs images of the target alone.
    source_views = 1
    prior: Tensor

    def __init__(self, prior: Tensor, options: SupremeOptions) -> None:
        super().__init__()
        self.options = options
        # It follows from the start of the network, which a resumed run computes again.
        self.register_buffer("prior", prior, persistent=False)

    def forward(self, target: Views, source: Views | None, labels: Tensor | None) -> dict[str, Tensor]:
        """Return the terms of equations 5 to 8, each with its weight, and the self-supervision on its own.

        The paper puts 1 on the diagonal of constraints and weights, which is the sum of the self-supervision over a
        batch. Here it is the mean, so `self_weight` is the paper's if it is the number of items in a batch.
        """
        assert source is not None
        assert labels is not None
        options, shard = self.options, target.shard
        first, second = target.logits.softmax(2)
        constraints = weighted_constraints(self.prior[target.index], options.tau)[shard.rows]
        losses = {
            "pairs": options.pair_weight * constrained(first, gather_rows(second), constraints),
            "self": options.self_weight * agreement(first, second).mean() * shard.weight,
            "balance": options.balance_weight * imbalance(gather_rows(first)) * shard.weight,
            "source": options.source_weight * source_entropy(source, labels) * source.shard.weight,
        }
        first_set, second_set = (indecision(of.hidden.flatten(0, 1)) * of.shard.weight for of in (target, source))
        return {**losses, "binary": options.binary_weight * ((first_set + second_set) / 2)}
