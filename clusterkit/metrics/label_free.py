"""Measures that read no labels: how well a classifier fits a target, and clusters the values of their items."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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


def indices(values: NDArray[np.float64], cluster: NDArray[np.integer[Any]], seed: int) -> dict[str, float]:
    """Return the silhouette and the Calinski-Harabasz index of clusters (N,) of values (N, D).

    The silhouette is of at most 2,000 random items. Neither is defined for one cluster, or for N clusters.
    """
    from sklearn.metrics import calinski_harabasz_score, silhouette_score

    chosen = np.random.default_rng(seed).permutation(len(cluster))[:SAMPLE]
    result = {}
    for name, index, items in (
        ("silhouette", silhouette_score, chosen),
        ("calinski_harabasz", calinski_harabasz_score, slice(None)),
    ):
        found = cluster[items]
        if 1 < len(np.unique(found)) < len(found):
            result[name] = float(index(values[items], found))
    return result
