"""The local search: changes to a clustering, of which it keeps those that the critic scores higher."""

import torch
from torch import Tensor

from clusterkit.critic.embedding import PointSet
from clusterkit.critic.network import Critic
from clusterkit.critic.starts import compact, components

ROUNDS = 50
"""Most rounds, each of which changes a clustering once."""
MOVED = 64
"""Most points that one round tries to move, those that fit worst."""
GAIN = 1e-5
"""The least gain of a change, above the rounding of scores."""
MERGED = 300
"""Most pairs of clusters that one round tries to merge, those with the nearest means."""
LLOYD = 5
"""Steps of the k-means that splits a cluster in two."""


def improve(critic: Critic, points: PointSet, assignment: Tensor, k: int) -> tuple[Tensor, float]:
    """Return a clustering (N,) of at most K clusters, and its score, which is at least that of `assignment` (N,).

    Each round tries to merge two clusters, to split one, to move all points to the nearest mean or to the cluster of
    most neighbours, and to move border points; the change with the highest score is made, until none is better.
    """
    current = compact(assignment[None])[0]
    score = float(critic.scores(points, current[None]))
    for _ in range(ROUNDS):
        candidates = [merges(points, current), smoothings(points, current)]
        if int(current.max()) + 1 < k:
            candidates.append(splits(points, current, k))
        changed = torch.cat([*candidates, moves(critic, points, current, score)])
        if not len(changed):
            break
        scores = critic.scores(points, changed)
        best = int(scores.argmax())
        if float(scores[best]) <= score + GAIN:
            break
        current, score = compact(changed[best][None])[0], float(scores[best])
    return current, score


def means_of(x: Tensor, assignment: Tensor) -> Tensor:
    """Return the means (K, width) of clusters (N,) without gaps."""
    k = int(assignment.max()) + 1
    sums = torch.zeros(k, x.shape[1], device=x.device).index_add_(0, assignment, x)
    return sums / torch.bincount(assignment, minlength=k)[:, None]


def merges(points: PointSet, assignment: Tensor) -> Tensor:
    """Return clusterings (P, N) in which two clusters are one, those with the nearest means first."""
    means = means_of(points.x, assignment)
    pairs = torch.triu_indices(len(means), len(means), 1, device=means.device).T
    order = (means[pairs[:, 0]] - means[pairs[:, 1]]).norm(dim=1).argsort(stable=True)
    pairs = pairs[order[:MERGED]]
    return torch.where(assignment == pairs[:, 1:], pairs[:, :1], assignment)


def splits(points: PointSet, assignment: Tensor, most: int) -> Tensor:
    """Return clusterings (P, N) of at most `most` clusters, in which one is split.

    It is split in two by k-means, or into its graph's components, of which the last stay together if they are too many.
    """
    k = int(assignment.max()) + 1
    found = [assignment.new_zeros(0, len(assignment))]
    for part in (halves(points.x, assignment), pieces(points.near, assignment)):
        part = part.clamp(max=most - k)
        # Only clusters of several parts are split, of which the one numbered 0 stays.
        several = torch.zeros(k, dtype=torch.bool, device=part.device).index_fill_(0, assignment[part > 0], True)
        clusters = several.nonzero()
        changed = (assignment == clusters) & (part > 0)
        found.append(torch.where(changed, k - 1 + part, assignment))
    return torch.cat(found)


def halves(x: Tensor, assignment: Tensor) -> Tensor:
    """Return 0 or 1 (N,) for points (N, width): the half of its cluster, by a k-means that starts from its long axis.

    A cluster that cannot be halved is all 0.
    """
    k, width = int(assignment.max()) + 1, x.shape[1]
    centred = (x - means_of(x, assignment)[assignment]).double()
    products = (centred[:, :, None] * centred[:, None]).flatten(1)
    scatter = torch.zeros(k, width * width, dtype=products.dtype, device=x.device).index_add_(0, assignment, products)
    axes = torch.linalg.eigh(scatter.view(k, width, width)).eigenvectors[:, :, -1]
    side = ((centred * axes[assignment]).sum(1) > 0).long()
    for _ in range(LLOYD):
        both = 2 * assignment + side
        sums = torch.zeros(2 * k, width, device=x.device).index_add_(0, both, x)
        sizes = torch.bincount(both, minlength=2 * k)
        # The mean of an empty half is nowhere near.
        means = torch.where(sizes[:, None] > 0, sums / sizes[:, None], torch.inf)
        distance = (x[:, None] - means.view(k, 2, width)[assignment]).square().sum(2)
        side = distance.argmin(1)
    empty = torch.bincount(2 * assignment + side, minlength=2 * k).view(k, 2)[:, 0] == 0
    return torch.where(empty[assignment], 0, side)


def pieces(near: Tensor, assignment: Tensor) -> Tensor:
    """Return the number (N,), from 0 in each cluster, of the component of its graph that a point belongs to.

    The graph joins a point to its neighbours (N, M) in the same cluster.
    """
    k = int(assignment.max()) + 1
    piece = torch.from_numpy(components(near.cpu().numpy(), assignment.cpu().numpy())).to(near.device)
    owner = torch.zeros(int(piece.max()) + 1, dtype=torch.int64, device=near.device).scatter_(0, piece, assignment)
    order = owner.argsort(stable=True)
    sizes = torch.bincount(owner, minlength=k)
    number = torch.empty_like(owner)
    number[order] = torch.arange(len(owner), device=near.device) - (sizes.cumsum(0) - sizes)[owner[order]]
    return number[piece]


def smoothings(points: PointSet, assignment: Tensor) -> Tensor:
    """Return two clusterings (2, N): of each point the cluster of the nearest mean, or of most of its neighbours."""
    nearest = torch.cdist(points.x, means_of(points.x, assignment)).argmin(1)
    return torch.stack([nearest, votes(points, assignment).argmax(1)])


def votes(points: PointSet, assignment: Tensor) -> Tensor:
    """Return how many of the point itself and its neighbours are in each cluster, (N, K)."""
    own = torch.cat([assignment[:, None], assignment[points.near]], 1)
    counts = torch.zeros(len(own), int(assignment.max()) + 1, device=own.device)
    return counts.scatter_add_(1, own, torch.ones(own.shape, device=own.device))


def moves(critic: Critic, points: PointSet, assignment: Tensor, score: float) -> Tensor:
    """Return clusterings (P, N) in which 1, 2, 4, ... border points are moved, those that gain most by themselves.

    A border point is moved to the other cluster of most of its neighbours, or to that of the nearest other mean. Points
    are tried whose neighbours are least in their cluster; without such, those least nearer to their own mean.
    """
    none = assignment.new_zeros(0, len(assignment))
    if int(assignment.max()) == 0:
        return none
    distance = torch.cdist(points.x, means_of(points.x, assignment))
    own = assignment[:, None]
    margin = distance.scatter(1, own, torch.inf).amin(1) - distance.gather(1, own)[:, 0]
    counts = votes(points, assignment)
    # Of clusters with equally many neighbours, the one with the nearer mean counts for more.
    others = (counts - distance / (2 * distance.max().clamp(min=1e-30))).scatter(1, own, -torch.inf)
    unlike = counts.scatter(1, own, 0).sum(1)
    order = torch.argsort(unlike - torch.tanh(margin) / 2, descending=True, stable=True)[:MOVED]
    target = others.argmax(1)
    single = assignment.repeat(len(order), 1)
    single[torch.arange(len(order)), order] = target[order]
    gains = critic.scores(points, single) - score
    ranked = order[gains.argsort(descending=True, stable=True)]
    helpful = int((gains > 0).sum())
    found, count = [none], 1
    while count < 2 * helpful:
        changed = assignment.clone()
        chosen = ranked[: min(count, helpful)]
        changed[chosen] = target[chosen]
        found.append(changed[None])
        count *= 2
    return torch.cat(found)
