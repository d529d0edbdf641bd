"""Measures of predicted pairs: agreement with labels, and signs of health that need no labels."""

import torch
from torch import Tensor

from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.source import PairSource, in_blocks

BLOCK = 512
"""Most rows of pairs that are scored at a time."""
SAMPLE = 2000
"""Largest number of items whose pairs are checked without labels."""


def pair_scores(pairs: PairSource, labels: Tensor) -> dict[str, float]:
    """Return precision and recall of similar and of dissimilar pairs, and the F1 of similar pairs.

    `labels` (N,) are -1 for items that are left out. Pairs are binarised at probability one half, and self-pairs are
    left out. A ratio with denominator 0 is 0.
    """
    counts = torch.zeros(2, 2, dtype=torch.int64)
    positions = torch.arange(len(pairs))
    for rows in in_blocks(len(pairs), BLOCK):
        predicted = pairs.logits(rows, positions) > 0
        same = labels[rows][:, None] == labels[None]
        counted = (rows[:, None] != positions[None]) & (labels[rows] >= 0)[:, None] & (labels >= 0)
        for p in (0, 1):
            for s in (0, 1):
                counts[p, s] += ((predicted == bool(p)) & (same == bool(s)) & counted).sum()
    similar_precision = _ratio(counts[1, 1], counts[1].sum())
    similar_recall = _ratio(counts[1, 1], counts[:, 1].sum())
    return {
        "similar_precision": similar_precision,
        "similar_recall": similar_recall,
        "similar_f1": 2 * similar_precision * similar_recall / max(similar_precision + similar_recall, 1e-12),
        "dissimilar_precision": _ratio(counts[0, 0], counts[0].sum()),
        "dissimilar_recall": _ratio(counts[0, 0], counts[:, 0].sum()),
    }


def _ratio(part: Tensor, total: Tensor) -> float:
    return float(part) / float(total) if total else 0.0


def health(pairs: FactoredPairs | CosinePairs, generator: torch.Generator) -> dict[str, float]:
    """Return signs of health that need no labels, from the pairs among at most 2,000 random items.

    `similar_rate` is the share of pairs of different items predicted similar. `asymmetry` is the share of these pairs
    whose two orders are predicted differently before symmetrising. `transitivity_violations` is, among the triples (i,
    j, k) in which i, j and j, k are similar, the share in which i, k are dissimilar.
    """
    chosen = torch.randperm(len(pairs), generator=generator)[:SAMPLE]
    ordered = pairs.ordered_logits(chosen, chosen)
    asymmetric = (ordered > 0) != (ordered.T > 0)
    similar = ordered + ordered.T > 0
    similar.fill_diagonal_(False)
    count = max(1, len(chosen) * (len(chosen) - 1))
    # Count the paths of two similar pairs between different items, then those that a third similar pair closes.
    paths = similar.float() @ similar.float()
    paths.fill_diagonal_(0)
    closed = float(paths[similar].sum())
    total = float(paths.sum())
    return {
        "similar_rate": float(similar.sum()) / count,
        "asymmetry": float(asymmetric.sum()) / count,
        "transitivity_violations": 1 - closed / total if total else 0.0,
    }
