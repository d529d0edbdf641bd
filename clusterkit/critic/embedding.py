"""The embedding of a set with a population of clusterings (C2M, section 3.2), in closed form.

In a graph whose cliques are the clusters, with self-loops and the symmetric normalisation, a graph convolution replaces
every point of a cluster by the cluster's mean. Two of them give z_k = W1' relu(W0' mu_k) for every point of cluster k,
so that Z'Z = sum_k n_k z_k z_k'. Nothing of size N x N is needed.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.settings import Graph

NEIGHBOURS = 10
"""Nearest neighbours of a point in the neighbour graph."""
STEPS = 64
"""Edges of a point that are followed in steps of many points; equal points can be neighbours of all others."""
RAISED = 2**30
"""A number above that of any point, of a single bit."""


@dataclass(frozen=True)
class Edges:
    """The edges of a neighbour graph, in both directions, between points in an `order` (N,) of falling degrees.

    Step i holds, for each of the first points by this order, the place of its i-th neighbour. Edges beyond the last
    step go from the places in `here` (E,) to those in `there` (E,).
    """

    order: Tensor
    steps: tuple[Tensor, ...]
    here: Tensor
    there: Tensor


@dataclass(frozen=True)
class PointSet:
    """A set as a critic reads it: coordinates (N, width), and the positions (N, M) of each point's nearest neighbours.

    M is at most 10, and less in a set of fewer points. Equal points may be neighbours in any order.
    """

    x: Tensor
    near: Tensor

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def edges(self) -> Edges:
        """Return the edges between each point and its neighbours."""
        count = len(self.near)
        here = torch.arange(count, device=self.near.device).repeat_interleave(self.near.shape[1])
        there = self.near.flatten()
        pairs = torch.cat([here * count + there, there * count + here]).unique()
        here, there = pairs // count, pairs % count
        degrees = torch.bincount(here, minlength=count)
        rank = torch.arange(len(here), device=here.device) - (degrees.cumsum(0) - degrees)[here]
        order = degrees.argsort(descending=True, stable=True)
        place = order.argsort()
        here, there = place[here], place[there]
        by_rank = (rank * count + here).argsort()
        here, there, rank = here[by_rank], there[by_rank], rank[by_rank]
        first = int((rank < STEPS).sum())
        steps = there[:first].split(torch.bincount(rank[:first]).tolist())
        return Edges(order, steps, here[first:], there[first:])

    def turned(self, matrix: Tensor) -> "PointSet":
        """Return the set with coordinates times an orthogonal matrix (width, width)."""
        return PointSet(self.x @ matrix, self.near)


def point_set(x: Tensor) -> PointSet:
    """Return the set of points (N, width), with their neighbours."""
    return PointSet(x, neighbours(x))


def neighbours(x: Tensor) -> Tensor:
    """Return the positions (N, M) of the nearest neighbours of each point of (N, D), the nearest first."""
    count = min(NEIGHBOURS, len(x) - 1)
    if count < 1:
        return torch.zeros(len(x), 0, dtype=torch.int64)
    from sklearn.neighbors import NearestNeighbors

    points = x.double().cpu().numpy()
    found = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(return_distance=False)
    return torch.from_numpy(found.astype(np.int64))


def kept(points: PointSet, assignments: Tensor) -> Tensor:
    """Return the share (P, N) of each point's neighbours that are in its cluster, of assignments (P, N).

    This is a graph convolution of a constant one over the neighbour graph within the clusters, divided by the degree
    in the whole graph. A point without neighbours has the share one.
    """
    if not points.near.shape[1]:
        return torch.ones(assignments.shape, device=points.x.device)
    # Rows of small numbers are gathered fastest.
    own = assignments.T.to(torch.int16 if int(assignments.max()) < 2**15 else torch.int64).contiguous()
    number = torch.zeros(own.shape, dtype=torch.uint8, device=own.device)
    for column in points.near.T:
        number += own[column] == own
    return number.T.float() / points.near.shape[1]


def joined(points: PointSet, assignments: Tensor) -> Tensor:
    """Return the share (P, N) of each point's cluster that edges within the cluster join to it, of (P, N).

    Edges join each point to its neighbours, in either direction. The share is one if the cluster is connected. Its mean
    over a cluster is the chance that two of its points are joined.
    """
    edges = points.edges
    own = assignments.T[edges.order].contiguous()
    count, population = own.shape
    k = int(assignments.max()) + 1
    rows = own + torch.arange(population, device=own.device) * k
    clusters = torch.bincount(rows.flatten(), minlength=population * k).float()[rows]
    own = own.int()
    # Between clusters, numbers are raised above all others.
    raised = [(own[: len(there)] != own.index_select(0, there)).int() * RAISED for there in edges.steps]
    rest = edges.here[:, None].expand(-1, population)
    raised_rest = (own[edges.here] != own[edges.there]).int() * RAISED
    # The least number of a component's points spreads over it, and doubles its reach with each round.
    least = torch.arange(count, dtype=torch.int32, device=own.device)[:, None].repeat(1, population)
    while True:
        new = least.clone()
        for there, bits in zip(edges.steps, raised, strict=True):
            found = new.index_select(0, there).bitwise_or_(bits)
            torch.minimum(new[: len(there)], found, out=new[: len(there)])
        if len(rest):
            new.scatter_reduce_(0, rest, new[edges.there] | raised_rest, "amin")
        new = new.gather(0, new.long())
        if torch.equal(new, least):
            break
        least = new
    roots = least.long()
    sizes = torch.zeros(count, population, device=own.device)
    sizes.scatter_add_(0, roots, torch.ones(1, device=own.device).expand(count, population))
    share = torch.empty_like(sizes)
    share[edges.order] = sizes.gather(0, roots) / clusters
    return share.T


def cluster_features(points: PointSet, assignments: Tensor, graph: Graph, *, sizes: bool) -> tuple[Tensor, Tensor]:
    """Return the mean features (P, K, F) of the clusters, and the share of points in each, (P, K).

    `assignments` (P, N) are numbers from 0 to before K. With cliques, the features of a point are its coordinates. With
    the neighbour graph they have no place, scale or width: the share of its neighbours in its cluster, and the share of
    its cluster that is joined to it. `sizes` adds the share of points in its cluster and a constant one. Means of empty
    clusters are zero.
    """
    population, count = assignments.shape
    k = int(assignments.max()) + 1
    if graph is Graph.NEIGHBOURS:
        columns = torch.stack([kept(points, assignments), joined(points, assignments)], 2)
    else:
        columns = points.x[None].expand(population, -1, -1)
    offsets = torch.arange(population, device=assignments.device)[:, None] * k
    rows = (assignments + offsets).flatten()
    number = torch.bincount(rows, minlength=population * k).view(population, k).to(columns)
    sums = torch.zeros(population * k, columns.shape[2], device=columns.device, dtype=columns.dtype)
    sums.index_add_(0, rows, columns.reshape(population * count, -1))
    means = sums.view(population, k, -1) / number.clamp(min=1)[..., None]
    shares = number / count
    if sizes:
        means = torch.cat([means, shares[..., None], (number > 0).to(means)[..., None]], 2)
    return means, shares


def convolved(features: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return z_k = W1' relu(W0' mu_k), (P, K, m), of the means (P, K, F) of clusters; W0 (F, H) and W1 (H, m)."""
    return (features @ first).relu() @ second


def embedding(z: Tensor, shares: Tensor) -> Tensor:
    """Return the upper triangle (P, m (m + 1) / 2) of Z'Z / N = sum_k n_k / N z_k z_k', of z (P, K, m).

    `shares` (P, K) are n_k / N. The division by N takes out the size of the set, which the paper leaves in.
    """
    square = (z * shares[..., None]).transpose(1, 2) @ z
    rows, columns = torch.triu_indices(z.shape[2], z.shape[2], device=z.device)
    return square[:, rows, columns]


def reconstruction(z: Tensor, shares: Tensor) -> Tensor:
    """Return the mean loss of the autoencoder (Kipf and Welling 2016) over a population, from z (P, K, m).

    The cross entropy of sigmoid(z_i . z_j) with the adjacency of the cliques, self-loops included, where edges and
    pairs without an edge weigh half each, as in their code. `shares` (P, K) are n_k / N. With a single cluster only
    edges count.
    """
    logits = z @ z.transpose(1, 2)
    pairs = shares[..., :, None] * shares[..., None, :]
    same = torch.eye(z.shape[1], device=z.device, dtype=torch.bool)
    inside, between = pairs * same, pairs * ~same
    losses = torch.where(same, F.softplus(-logits), F.softplus(logits))
    means = [(losses * kind).sum((1, 2)) / kind.sum((1, 2)).clamp(min=1e-30) for kind in (inside, between)]
    return torch.stack(means).mean()
