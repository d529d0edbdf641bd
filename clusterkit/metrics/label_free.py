"""Signs of how well a classifier fits an unlabelled target, none of which needs a label."""

import math

import torch
from torch import Tensor

from clusterkit.pairs.source import PairSource, logit_matrix

SAMPLE = 2000


def confidence(prob: Tensor) -> dict[str, float]:
    """Return two entropies of the probabilities (N, K) of a target, as shares of log K, which is the largest there is.

    `entropy` is the mean over the items: 0 where each is given to one class for sure. `balance` is that of the mean
    over the items: 1 where every class is as frequent as any other, 0 where all items are in one.
    """
    most = math.log(max(2, prob.shape[1]))
    return {
        "entropy": float(torch.special.entr(prob.double()).sum(1).mean()) / most,
        "balance": float(torch.special.entr(prob.double().mean(0)).sum()) / most,
    }


def pair_agreement(pairs: PairSource, classes: Tensor, seed: int) -> float:
    """Return how well the classes (N,) given to the items agree with predicted pairs, without any label.

    It is the mean of two shares: of the similar pairs, those given one class, and of the dissimilar ones, those given
    two; over all pairs of different items among at most 2,000 random ones. 0.5 is chance.
    """
    chosen = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))[:SAMPLE]
    similar = logit_matrix(pairs, chosen) > 0
    same = classes[chosen, None] == classes[chosen]
    other = ~torch.eye(len(chosen), dtype=torch.bool)
    shares = [
        float((agreed & asked).sum()) / float(asked.sum())
        for asked, agreed in ((similar & other, same), (~similar & other, ~same))
        if asked.any()
    ]
    return sum(shares) / len(shares) if shares else 0.0
