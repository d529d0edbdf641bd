"""The N-way one-shot test of a similarity."""

import torch
from torch import Tensor

from clusterkit.errors import InputError
from clusterkit.pairs.source import PairSource


def n_way(pairs: PairSource, labels: Tensor, ways: int, episodes: int, generator: torch.Generator) -> float:
    """Return the share of episodes in which the query is most similar to the exemplar of its own class.

    `labels` (N,) are -1 for items that are left out. An episode draws `ways` classes, one exemplar of each, and as the
    query another item of one of these classes (Vinyals et al. 2016; L2C, table 7). Raises InputError if no class has
    two items.
    """
    members = [(labels == label).nonzero()[:, 0] for label in labels.unique() if label >= 0]
    assert 2 <= ways <= len(members)
    candidates = torch.tensor([c for c, items in enumerate(members) if len(items) > 1])
    if not len(candidates):
        raise InputError(
            "N-way tests need a class of at least two items, but every class has one item; use another data set"
        )
    correct = 0
    for _ in range(episodes):
        query_class = candidates[torch.randint(len(candidates), (), generator=generator)]
        order = torch.randperm(len(members), generator=generator)
        query_items = members[int(query_class)]
        query_and_exemplar = query_items[torch.randperm(len(query_items), generator=generator)[:2]]
        other_classes = [members[c] for c in order[order != query_class][: ways - 1].tolist()]
        other_exemplars = [items[torch.randint(len(items), (1,), generator=generator)] for items in other_classes]
        exemplars = torch.cat([query_and_exemplar[1:], *other_exemplars])
        scores = pairs.logits(query_and_exemplar[:1], exemplars)[0]
        # A tie counts as wrong, because the right exemplar always stands first.
        correct += int(scores[0] > scores[1:].max())
    return correct / episodes
