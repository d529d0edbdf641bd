"""Links of a user, must-links and cannot-links, and what follows from them."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Link:
    """The items `a` and `b`, by id or position, that belong together (`must`) or apart.

    `place` is where it stands. A link that follows from two examples stands at `second` too.
    """

    a: int
    b: int
    must: bool
    place: int
    second: int | None = None


@dataclass(frozen=True)
class Contradiction:
    """A cannot-link whose items must-links tie: `chain` is a shortest chain of these, `items` all that it passes."""

    cannot: Link
    chain: list[Link]
    items: list[int]


@dataclass(frozen=True, eq=False)
class Closure:
    """What follows from the links of N items.

    `group` (N,) numbers the groups of items that must-links tie, directly or through others; an item without must-link
    is a group of its own. `apart` (P, 2) holds the pairs of groups that cannot-links part, each once, the smaller
    number first, in order.
    """

    group: Positions
    apart: Positions

    @cached_property
    def size(self) -> Positions:
        """The number of items (G,) in each group."""
        return np.bincount(self.group)

    @cached_property
    def first(self) -> Positions:
        """The position (G,) of the first item of each group."""
        return np.unique(self.group, return_index=True)[1].astype(np.int64)

    @cached_property
    def linked(self) -> NDArray[np.bool_]:
        """Whether a link holds of each item (N,), said by the user or following."""
        of_group = self.size > 1
        of_group[self.apart.ravel()] = True
        linked: NDArray[np.bool_] = of_group[self.group]
        return linked

    @cached_property
    def count_together(self) -> int:
        """Number of pairs of items that must be together, in both orders."""
        return int((self.size * (self.size - 1)).sum())

    @cached_property
    def count_apart(self) -> int:
        """Number of pairs of items that cannot be together, in both orders."""
        return 2 * int((self.size[self.apart[:, 0]] * self.size[self.apart[:, 1]]).sum())

    def take(self, order: Positions) -> "Closure":
        """Return the closure of the same items in another order (N,)."""
        return replace(self, group=self.group[order])


def closure(links: Sequence[Link], count: int) -> Closure:
    """Return what follows from links, by position, of N items; the links must not contradict each other."""
    root = roots(links)
    first = np.array([root.get(item, item) for item in range(count)], np.int64)
    group = np.unique(first, return_inverse=True)[1].astype(np.int64)
    pairs = {tuple(sorted((int(group[link.a]), int(group[link.b])))) for link in links if not link.must}
    return Closure(group, np.array(sorted(pairs), np.int64).reshape(-1, 2))


def roots(links: Sequence[Link]) -> dict[int, int]:
    """Return for each item of a must-link the one item that stands for all that must-links tie it to."""
    root: dict[int, int] = {}

    def find(item: int) -> int:
        top = item
        while root.setdefault(top, top) != top:
            top = root[top]
        while root[item] != top:
            root[item], item = top, root[item]
        return top

    for link in links:
        if link.must:
            root[find(link.a)] = find(link.b)
    return {item: find(item) for item in list(root)}


def contradiction(links: Sequence[Link]) -> Contradiction | None:
    """Return the first cannot-link that must-links contradict, with a shortest chain of these; None if none does."""
    root = roots(links)
    for link in links:
        if not link.must and root.get(link.a, link.a) == root.get(link.b, link.b):
            return Contradiction(link, *shortest_chain(links, link.a, link.b))
    return None


def shortest_chain(links: Sequence[Link], start: int, end: int) -> tuple[list[Link], list[int]]:
    """Return the must-links of a shortest chain from one item to another, and the items that it passes."""
    beside: dict[int, list[tuple[int, Link]]] = defaultdict(list)
    for link in links:
        if link.must:
            beside[link.a].append((link.b, link))
            beside[link.b].append((link.a, link))
    came: dict[int, tuple[int, Link] | None] = {start: None}
    queue = deque([start])
    while end not in came:
        item = queue.popleft()
        for other, link in beside[item]:
            if other not in came:
                came[other] = (item, link)
                queue.append(other)
    chain, items = [], [end]
    while (step := came[items[-1]]) is not None:
        items.append(step[0])
        chain.append(step[1])
    return chain[::-1], items[::-1]


def all_hold(closure: Closure, cluster: NDArray[np.integer]) -> bool:
    """Return whether the clusters (N,), none of which is -1, hold all that follows from the links."""
    of_group = np.zeros(len(closure.size), np.int64)
    of_group[closure.group] = cluster
    apart = of_group[closure.apart]
    return bool((of_group[closure.group] == cluster).all() and (apart[:, 0] != apart[:, 1]).all())


def holding(links: Sequence[Link], cluster: NDArray[np.integer]) -> list[bool]:
    """Return whether each link, by position, holds for the clusters (N,); an item in no cluster (-1) is alone."""
    return [bool(cluster[link.a] == cluster[link.b] >= 0) == link.must for link in links]


def held_counts(links: Sequence[Link], holds: Sequence[bool]) -> dict[str, dict[str, int]]:
    """Return how many must-links and cannot-links there are and hold, as headers record it."""
    return {
        word: {
            "held": sum(hold for link, hold in zip(links, holds, strict=True) if link.must is must),
            "of": sum(link.must is must for link in links),
        }
        for word, must in (("must", True), ("cannot", False))
    }
