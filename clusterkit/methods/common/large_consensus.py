"""Consensus of the pairs of a large set: that of a sample, extended to the other items."""

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.methods.common.consensus import clusterings, sigmoid
from clusterkit.methods.common.sample import sampled
from clusterkit.metrics.k_estimates import LESS, Matrix
from clusterkit.networks.evening import scaled
from clusterkit.pairs.members import MemberPairs
from clusterkit.pairs.source import ROWS, PairSource, logit_matrix

TINY = np.finfo(np.float64).tiny


def extended_consensus(pairs: PairSource, seed: int) -> tuple[PairSource, int]:
    """Return the pairs by the spectral clusterings of a random sample of LARGEST items, extended to all N.

    The second value is the size of the sample, 0 if it changes no pairs.
    In each clustering, an item outside the sample is in the group whose items have the largest mean likeness with it.
    If linkage finds fewer than two groups in the sample, the pairs are returned as they are. For a sample of M, time is
    O(N M + M^3) and memory O(N + M^2).
    """
    chosen = torch.from_numpy(sampled(len(pairs), seed))
    logits = logit_matrix(pairs, chosen).double().numpy()
    groups = clusterings(logits, seed)[1]
    if not groups.shape[1]:
        return pairs, 0
    weight = 1 / np.sqrt(sigmoid(logits - LESS).sum(0).clip(TINY))
    centres = [means(alike(logits, weight), group) for group in groups.T]
    every = np.empty((len(pairs), len(centres)), np.int32)
    for rows in torch.arange(len(pairs)).split(ROWS):
        block = alike(pairs.logits(rows, chosen).double().numpy(), weight)
        every[rows] = np.stack([(block @ centre.T).argmax(1) for centre in centres], 1)
    every[chosen] = groups
    return MemberPairs(torch.from_numpy(every)), len(chosen)


def alike(logits: Matrix, weight: Matrix) -> Matrix:
    """Return rows (R, M) whose products with those of the sample are their `likeness`, of logits (R, M) with it."""
    return scaled(sigmoid(logits - LESS) * weight)


def means(rows: Matrix, groups: NDArray[np.integer]) -> Matrix:
    """Return the mean (G, M) of the rows (N, M) of each group; zeros for a group without items."""
    member = np.eye(groups.max() + 1)[groups]
    mean: Matrix = member.T @ rows / member.sum(0).clip(1)[:, None]
    return mean
