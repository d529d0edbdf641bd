"""How well predicted pairs agree with the truth."""

import torch
from torch import Tensor

from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.source import PairSource

BLOCK = 512
SAMPLE = 2000


def pair_scores(pairs: PairSource, labels: Tensor) -> dict[str, float]:
    """Return precision and recall of similar and of dissimilar pairs, and the F1 of similar ones.

    `labels` (N,), -1 for items that are left out. Pairs are binarised at probability one half; self-pairs are left out.
    A ratio over nothing is 0.
    """
    counts = torch.zeros(2, 2, dtype=torch.int64)
    every = torch.arange(len(pairs))
    for rows in every.split(BLOCK):
        predicted = pairs.logits(rows, every) > 0
        same = labels[rows][:, None] == labels[None]
        other = (rows[:, None] != every[None]) & (labels[rows] >= 0)[:, None] & (labels >= 0)
        for p in (0, 1):
            for s in (0, 1):
                counts[p, s] += ((predicted == bool(p)) & (same == bool(s)) & other).sum()
    similar_precision = _ratio(counts[1, 1], counts[1].sum())
    similar_recall = _ratio(counts[1, 1], counts[:, 1].sum())
    return {
        "similar_precision": similar_precision,
        "similar_recall": similar_recall,
        "similar_f1": 2 * similar_precision * similar_recall / max(similar_precision + similar_recall, 1e-12),
        "dissimilar_precision": _ratio(counts[0, 0], counts[0].sum()),
        "dissimilar_recall": _ratio(counts[0, 0], counts[:, 0].sum()),
    }


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole) if whole else 0.0


def health(pairs: FactoredPairs, generator: torch.Generator) -> dict[str, float]:
    """Return signs of health that need no label, from the pairs among at most 2,000 random items.

    `similar_rate`: the share of pairs of two different items predicted similar. `asymmetry`: the share whose two
    orders are predicted differently, before symmetrising. `transitivity_violations`: among the triples (i, j, k) of
    which i, j and j, k are similar, the share in which i, k are not.
    """
    some = torch.randperm(len(pairs), generator=generator)[:SAMPLE]
    ordered = pairs.ordered_logits(some, some)
    different = (ordered > 0) != (ordered.T > 0)
    similar = ordered + ordered.T > 0
    similar.fill_diagonal_(False)
    count = max(1, len(some) * (len(some) - 1))
    # Paths of two similar pairs between two different items, and how many of those the third pair closes.
    paths = similar.float() @ similar.float()
    paths.fill_diagonal_(0)
    closed = float(paths[similar].sum())
    total = float(paths.sum())
    return {
        "similar_rate": float(similar.sum()) / count,
        "asymmetry": float(different.sum()) / count,
        "transitivity_violations": 1 - closed / total if total else 0.0,
    }
