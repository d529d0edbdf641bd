"""The N-way one-shot test of a similarity."""

import torch
from torch import Tensor

from clusterkit.pairs.source import PairSource


def n_way(pairs: PairSource, labels: Tensor, ways: int, episodes: int, generator: torch.Generator) -> float:
    """Return the share of episodes in which a query's most similar exemplar is of its class.

    An episode draws `ways` classes of `labels` (N,), one exemplar of each, and one more item of one of them as the
    query (Vinyals et al. 2016; L2C, table 7).
    """
    members = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    members = [member for member in members if len(member) > 1]
    right = 0
    for _ in range(episodes):
        chosen = torch.randperm(len(members), generator=generator)[:ways].tolist()
        first = members[chosen[0]]
        two = first[torch.randperm(len(first), generator=generator)[:2]]
        others = [members[c][torch.randint(len(members[c]), (1,), generator=generator)] for c in chosen[1:]]
        exemplars = torch.cat([two[1:], *others])
        scores = pairs.logits(two[:1], exemplars)[0]
        # The right exemplar stands first, so a tie must not count as found.
        right += int(scores[0] > scores[1:].max())
    return right / episodes
