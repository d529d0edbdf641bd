"""Clusterings of a labelled set that a critic learns to score lower than the truth."""

from collections.abc import Callable

import torch
from torch import Tensor

from clusterkit.critic.embedding import PointSet
from clusterkit.critic.local import means_of
from clusterkit.critic.starts import compact

MOST_MOVED = 0.5
"""The largest share of points that is moved to other clusters."""


def ari_of(assignments: Tensor, labels: Tensor) -> Tensor:
    """Return the adjusted Rand index (P,), float64, of assignments (P, N) with labels (N,), both numbers from 0.

    It is one where both are the same, also if all points are together or each is alone.
    """
    population, count = assignments.shape
    k, classes = int(assignments.max()) + 1, int(labels.max()) + 1
    offsets = torch.arange(population, device=assignments.device)[:, None] * (k * classes)
    cells = (assignments * classes + labels + offsets).flatten()
    table = torch.bincount(cells, minlength=population * k * classes).view(population, k, classes).double()

    def pairs(sizes: Tensor) -> Tensor:
        return (sizes * (sizes - 1) / 2).flatten(1).sum(1)

    together, rows, columns = pairs(table), pairs(table.sum(2)), pairs(table.sum(1))
    expected = rows * columns / max(1.0, count * (count - 1) / 2)
    largest = (rows + columns) / 2
    room = largest - expected
    agree = room <= 1e-12 * largest
    index = (together - expected) / torch.where(agree, 1, room)
    return torch.where(agree, (together == largest).double(), index)


def fakes(points: PointSet, labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` clusterings (count, N) that differ from the labels (N,), each by one or several random changes.

    A change splits a cluster, merges two, or moves points to other clusters. Rows that by chance equal the labels are
    not left out.
    """
    rows = []
    for _ in range(count):
        changed = labels
        for _ in range(1 + int(torch.randint(3, (), generator=generator))):
            change = CHANGES[int(torch.randint(len(CHANGES), (), generator=generator))]
            changed = compact(change(points, changed, generator)[None])[0]
        rows.append(changed)
    return torch.stack(rows)


def split(points: PointSet, assignment: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a random cluster of (N,) in two, along a random direction at a random place, or at random."""
    k = int(assignment.max()) + 1
    members = (assignment == _random(k, generator)).nonzero()[:, 0]
    if len(members) < 2:
        return assignment
    width = points.x.shape[1]
    if _random(4, generator):
        along = points.x[members] @ torch.randn(width, generator=generator)
    else:
        along = torch.rand(len(members), generator=generator)
    first = 1 + _random(len(members) - 1, generator)
    changed = assignment.clone()
    changed[members[along.argsort(stable=True)[:first]]] = k
    return changed


def merge(points: PointSet, assignment: Tensor, generator: torch.Generator) -> Tensor:
    """Join a random cluster of (N,) to another, or to that with the nearest mean."""
    k = int(assignment.max()) + 1
    if k < 2:
        return assignment
    one = _random(k, generator)
    other = (one + 1 + _random(k - 1, generator)) % k
    if _random(2, generator):
        means = means_of(points.x, assignment)
        distance = (means - means[one]).norm(dim=1)
        distance[one] = torch.inf
        other = int(distance.argmin())
    return torch.where(assignment == one, other, assignment)


def move(points: PointSet, assignment: Tensor, generator: torch.Generator) -> Tensor:
    """Move a random share of the points of (N,) to random clusters, or points around a random one to its cluster."""
    k = int(assignment.max()) + 1
    if k < 2:
        return assignment
    count = len(assignment)
    number = 1 + int(count * MOST_MOVED * float(torch.rand((), generator=generator)) ** 2)
    changed = assignment.clone()
    if _random(2, generator):
        chosen = torch.randperm(count, generator=generator)[:number]
        changed[chosen] = torch.randint(k, (number,), generator=generator)
    else:
        centre = _random(count, generator)
        chosen = (points.x - points.x[centre]).norm(dim=1).argsort(stable=True)[:number]
        changed[chosen] = _random(k, generator)
    return changed


CHANGES: tuple[Callable[[PointSet, Tensor, torch.Generator], Tensor], ...] = (split, merge, move)


def _random(count: int, generator: torch.Generator) -> int:
    """Return a random number from 0 to before `count`."""
    return int(torch.randint(count, (), generator=generator))
