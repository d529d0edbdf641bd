"""The items in each batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


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
