"""Items that a set holds twice: equal ones, and pictures that differ by little but size or brightness."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from clusterkit.pairs.source import in_blocks
from clusterkit.report.features import ROWS, Values

ALIKE = 0.99
"""Correlation of the averaged pixels from which two pictures are near duplicates."""
FLAT = 0.01
"""Standard deviation of averaged pixels, in 0..1, below which a picture is too plain to compare."""
EDGES = 20
"""Near duplicates searched for each picture."""


@dataclass(frozen=True)
class Group:
    """Positions of items that are equal, or near duplicates of each other."""

    members: list[int]
    is_exact: bool


def duplicates(values: Values, channels: int | None) -> list[Group]:
    """Return the groups of equal rows of `values` (N, D) and, of averaged pixels, of near duplicates.

    `channels` is the number of channels of images, None for vectors. The largest groups come first. Time is O(N^2 D).
    """
    _, first, same = np.unique(values, axis=0, return_index=True, return_inverse=True)
    same = same.reshape(-1)
    group = np.arange(len(first)) if channels is None else near(values[first], channels)
    of_item = group[same]
    order = np.argsort(of_item, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(of_item[order])) + 1)
    groups = [Group(part.tolist(), is_exact=len(np.unique(same[part])) == 1) for part in parts if len(part) > 1]
    return sorted(groups, key=lambda each: (-len(each.members), each.members))


def near(values: Values, channels: int) -> NDArray[np.int64]:
    """Return the number (N,) of each picture's group of near duplicates, from averaged pixels (N, D)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    points = torch.from_numpy(values).unflatten(1, (channels, -1))
    # A plain picture has a colour and nothing else, so each channel is compared by what varies within it.
    points = (points - points.mean(2, keepdim=True)).flatten(1)
    plain = points.square().mean(1).sqrt() < FLAT
    points = F.normalize(points)
    points[plain] = 0
    starts, ends = [], []
    for rows in in_blocks(len(points), ROWS):
        alike = points[rows] @ points.T
        alike[torch.arange(len(rows)), rows] = 0
        found = alike.topk(min(EDGES, alike.shape[1]))
        near = found.values >= ALIKE
        starts.append(rows[:, None].expand_as(near)[near])
        ends.append(found.indices[near])
    edges = (torch.cat(starts).numpy(), torch.cat(ends).numpy())
    graph = coo_matrix((np.ones(len(edges[0])), edges), shape=(len(points), len(points)))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups
