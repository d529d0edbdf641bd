"""The N-way one-shot test of a similarity."""

import torch
from torch import Tensor

from clusterkit.errors import InputError
from clusterkit.pairs.source import PairSource


def n_way(pairs: PairSource, labels: Tensor, ways: int, episodes: int, generator: torch.Generator) -> float:
    """Return the share of episodes in which a query's most similar exemplar is of its class.

    An episode draws `ways` classes of `labels` (N,), -1 for items that are left out, one exemplar of each, and one more
    item of one of them as the query (Vinyals et al. 2016; L2C, table 7). Raises InputError where no class has two
    items.
    """
    members = [(labels == label).nonzero()[:, 0] for label in labels.unique() if label >= 0]
    assert 2 <= ways <= len(members)
    queried = torch.tensor([c for c, items in enumerate(members) if len(items) > 1])
    if not len(queried):
        raise InputError("N-way tests need a class of at least two items, and every class has one only")
    right = 0
    for _ in range(episodes):
        query = queried[torch.randint(len(queried), (), generator=generator)]
        order = torch.randperm(len(members), generator=generator)
        first = members[int(query)]
        two = first[torch.randperm(len(first), generator=generator)[:2]]
        drawn = [members[c] for c in order[order != query][: ways - 1].tolist()]
        others = [items[torch.randint(len(items), (1,), generator=generator)] for items in drawn]
        exemplars = torch.cat([two[1:], *others])
        scores = pairs.logits(two[:1], exemplars)[0]
        # The right exemplar stands first, so a tie must not count as found.
        right += int(scores[0] > scores[1:].max())
    return right / episodes
