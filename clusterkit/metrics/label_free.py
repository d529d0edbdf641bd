"""Measures of how well a classifier fits an unlabelled target."""

import math

import torch
from torch import Tensor

from clusterkit.pairs.source import PairSource, logit_matrix

SAMPLE = 2000
"""Largest number of items whose pairs are compared."""


def confidence(prob: Tensor) -> dict[str, float]:
    """Return two entropies of the probabilities (N, K) of a target, as shares of log K, the largest entropy.

    `entropy` is the mean entropy of the items: 0 if each item belongs to one class with certainty. `balance` is the
    entropy of the mean probabilities: 1 if all classes are equally frequent, 0 if all items are in one class.
    """
    largest = math.log(max(2, prob.shape[1]))
    return {
        "entropy": float(torch.special.entr(prob.double()).sum(1).mean()) / largest,
        "balance": float(torch.special.entr(prob.double().mean(0)).sum()) / largest,
    }


def pair_agreement(pairs: PairSource, classes: Tensor, seed: int) -> float:
    """Return how well the classes (N,) of the items agree with predicted pairs; chance gives 0.5.

    The result is the mean of two shares: of similar pairs, the share within one class, and of dissimilar pairs, the
    share across two classes. Pairs are those of different items among at most 2,000 random items.
    """
    chosen = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))[:SAMPLE]
    similar = logit_matrix(pairs, chosen) > 0
    same = classes[chosen, None] == classes[chosen]
    distinct = ~torch.eye(len(chosen), dtype=torch.bool)
    shares = [
        float((agreement & kind).sum()) / float(kind.sum())
        for kind, agreement in ((similar & distinct, same), (~similar & distinct, ~same))
        if kind.any()
    ]
    return sum(shares) / len(shares) if shares else 0.0
