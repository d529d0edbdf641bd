"""The items in each batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SHARE = 8
"""Items of a batch for each linked pair in it."""


class Sampler(Protocol):
    """Yields the `steps` batches of an epoch, each as positions (B,)."""

    @property
    def steps(self) -> int: ...

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Shuffled:
    """Yields all N items once per epoch in random order; the last batch is filled from the start of that order."""

    count: int
    batch_size: int

    @property
    def steps(self) -> int:
        return -(-self.count // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.randperm(self.count, generator=generator)
        short = self.steps * self.batch_size - self.count
        yield from torch.cat([order, order[:short]]).split(self.batch_size)


@dataclass(frozen=True)
class Endless:
    """Yields `steps` batches per epoch from random orders of N items, one after another; no batch repeats an item.

    `batch_size` is at most N. A batch at the end of one order is filled with the first items of the next order that it
    does not contain.
    """

    count: int
    batch_size: int
    steps: int

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(self.steps):
            batch, order = order[: self.batch_size], order[self.batch_size :]
            short = self.batch_size - len(batch)
            if short:
                following = torch.randperm(self.count, generator=generator)
                added = following[~torch.isin(following, batch)][:short]
                batch, order = torch.cat([batch, added]), following[~torch.isin(following, added)]
            yield batch


class ClassBalanced:
    """Yields batches of `classes` random classes with `images` random items each; items of a class are adjacent.

    If more than one group of classes (alphabet) is large enough, every other batch comes from a single group, because
    the target consists of classes of one group. A class smaller than `images` repeats items.
    """

    def __init__(self, labels: Tensor, groups: Sequence[Tensor], classes: int, images: int, steps: int) -> None:
        """Take `labels` (N,), with -1 for items that are left out, and `groups` of class numbers."""
        present = labels[labels >= 0].unique()
        self.members = {int(c): (labels == c).nonzero()[:, 0] for c in present}
        self.all = present
        candidates = [group[torch.isin(group, present)] for group in groups]
        self.groups = [group for group in candidates if len(group) >= classes]
        self.classes, self.images, self.steps = min(classes, len(present)), images, steps

    def within(self, step: int) -> bool:
        """Return whether the batch of a step comes from a single group."""
        return step % 2 == 1 and len(self.groups) > 1

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        for step in range(self.steps):
            pool = self.all
            if self.within(step):
                pool = self.groups[int(torch.randint(len(self.groups), (), generator=generator))]
            chosen = pool[torch.randperm(len(pool), generator=generator)[: self.classes]]
            yield torch.cat([self._draw(self.members[int(c)], generator) for c in chosen])

    def _draw(self, members: Tensor, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(members), generator=generator)
        while len(order) < self.images:
            order = torch.cat([order, torch.randperm(len(members), generator=generator)])
        return members[order[: self.images]]


class Linked:
    """Yields the batches of a sampler, in each of which both items of some linked pairs replace the last items.

    Half of the pairs must be together and half cannot, if there are both. Without this, a few linked items among many
    would hardly share a batch.
    """

    def __init__(self, base: Sampler, group: Tensor, apart: Tensor) -> None:
        """Take the group (N,) of each item, and the pairs of groups (P, 2) that cannot be together."""
        self.base, self.group, self.apart = base, group, apart
        self.members, self.size = group.argsort(stable=True), group.bincount()
        self.first = self.size.cumsum(0) - self.size
        self.together = self.members[self.size[group[self.members]] > 1]

    @property
    def steps(self) -> int:
        return self.base.steps

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        for batch in self.base.epoch(generator):
            pairs = max(1, len(batch) // SHARE)
            kinds = [self._must(pairs, generator), self._cannot(pairs, generator)]
            linked = torch.stack(kinds).transpose(0, 1).reshape(-1, 2) if all(map(len, kinds)) else torch.cat(kinds)
            chosen = linked[:pairs].flatten().unique()
            yield torch.cat([chosen, batch[~torch.isin(batch, chosen)]])[: len(batch)]

    def _must(self, count: int, generator: torch.Generator) -> Tensor:
        if not len(self.together):
            return torch.empty(0, 2, dtype=torch.int64)
        items = self.together[torch.randint(len(self.together), (count,), generator=generator)]
        return torch.stack([items, self._member(self.group[items], generator)], 1)

    def _cannot(self, count: int, generator: torch.Generator) -> Tensor:
        if not len(self.apart):
            return torch.empty(0, 2, dtype=torch.int64)
        return self._member(self.apart[torch.randint(len(self.apart), (count,), generator=generator)], generator)

    def _member(self, groups: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random item of each group."""
        draws = torch.rand(groups.shape, generator=generator, dtype=torch.float64)
        return self.members[self.first[groups] + (draws * self.size[groups]).long()]
