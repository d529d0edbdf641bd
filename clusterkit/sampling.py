"""Which items make a batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Sampler(Protocol):
    """`steps` batches an epoch, each a tensor of positions (B,)."""

    @property
    def steps(self) -> int: ...

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]: ...


@dataclass(frozen=True)
class Shuffled:
    """All N items once an epoch in random order, the last batch filled up from the start of that order."""

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
    """`steps` batches an epoch of N items, one random order after another; no batch holds an item twice.

    `batch_size` is at most N. A batch that takes the end of one order goes on with the first items of the next that
    it does not hold yet.
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
    """Batches of `classes` random classes with `images` random items of each, items of a class side by side.

    Every other batch is drawn from one group of classes (one alphabet) where there is more than one group that is
    large enough: telling apart the classes of one group is what the target asks for. A class smaller than `images`
    gives some items more than once.
    """

    def __init__(self, labels: Tensor, groups: Sequence[Tensor], classes: int, images: int, steps: int) -> None:
        """`labels` (N,) with -1 for items to leave out; `groups` are tensors of class numbers."""
        present = labels[labels >= 0].unique()
        self.members = {int(c): (labels == c).nonzero()[:, 0] for c in present}
        self.all = present
        inside = [group[torch.isin(group, present)] for group in groups]
        self.groups = [group for group in inside if len(group) >= classes]
        self.classes, self.images, self.steps = min(classes, len(present)), images, steps

    def within(self, step: int) -> bool:
        """Return whether a step's batch is drawn from one group."""
        return step % 2 == 1 and len(self.groups) > 1

    def epoch(self, generator: torch.Generator) -> Iterator[Tensor]:
        for step in range(self.steps):
            pool = self.all
            if self.within(step):
                pool = self.groups[int(torch.randint(len(self.groups), (), generator=generator))]
            chosen = pool[torch.randperm(len(pool), generator=generator)[: self.classes]]
            yield torch.cat([self._some(self.members[int(c)], generator) for c in chosen])

    def _some(self, members: Tensor, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(members), generator=generator)
        while len(order) < self.images:
            order = torch.cat([order, torch.randperm(len(members), generator=generator)])
        return members[order[: self.images]]
