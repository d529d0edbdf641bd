"""The search for the clustering that a critic scores highest (C2M, section 3.1 and algorithm 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clusterkit.config import Recipe
from clusterkit.critic.embedding import PointSet
from clusterkit.critic.local import improve
from clusterkit.critic.network import Critic
from clusterkit.critic.starts import compact, starts
from clusterkit.device import derive_seed

UNITS = 16
"""Hidden units of a clustering network (C2M, section 4)."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The effort of a search: the paper gives no population, elites, iterations or restarts.

    `k` is the number of outputs of a network, so the most clusters. As printed only the cross-entropy method searches,
    with so many `restarts`; otherwise simple clusterings are proposed beside its winner, and a local search improves
    the `improved` best.
    """

    k: int = 50
    recipe: Recipe = Recipe.BEST
    population: int = 100
    iterations: int = 30
    elites: float = 0.1
    restarts: int = 3
    improved: int = 3


@dataclass(frozen=True)
class Found:
    """The best clustering (N,) of a search, numbered without gaps, and its score.

    `weights` (W,) are those of the network that made the clustering, None if no network made it.
    """

    assignment: Tensor
    score: float
    weights: Tensor | None = None


def search(critic: Critic, points: PointSet, effort: Search, seed: int, proposals: Tensor | None = None) -> Found:
    """Return the clustering of a set that the critic scores highest, among all that the search has met.

    `proposals` (P, N) are clusterings to start from beside the cross-entropy method's; None makes simple ones. As
    printed none are used. Raises ValueError for a set without points.
    """
    if not len(points):
        raise ValueError("a set needs a point")
    # More of them find nothing better where simple clusterings are improved too.
    count = effort.restarts if effort.recipe is Recipe.PAPER else 1
    runs = [cross_entropy(critic, points, effort, derive_seed(seed, "restart", number)) for number in range(count)]
    best = max(runs, key=lambda found: found.score)
    if effort.recipe is Recipe.PAPER:
        return best
    if proposals is None:
        proposals = starts(points, effort.k, derive_seed(seed, "starts"))
    proposals = torch.cat([proposals, best.assignment[None]])
    scores = critic.scores(points, proposals)
    for row in scores.argsort(descending=True, stable=True)[: effort.improved]:
        assignment, score = improve(critic, points, proposals[row], effort.k)
        if score > best.score:
            best = Found(assignment, score)
    return best


def cross_entropy(critic: Critic, points: PointSet, effort: Search, seed: int) -> Found:
    """Return the best clustering by a network that the cross-entropy method meets (C2M, algorithm 1).

    The weights of a population are drawn from a Gaussian with a diagonal covariance, which starts as the standard one
    and is fitted to the elites, the best share of each population. The best network ever met is kept.
    """
    generator = torch.Generator().manual_seed(seed)
    count = weight_count(points.x.shape[1], effort.k)
    mean, deviation = torch.zeros(count), torch.ones(count)
    elites = max(2, round(effort.elites * effort.population))
    best, score = torch.zeros(count), -torch.inf
    for _ in range(effort.iterations):
        drawn = torch.randn(effort.population, count, generator=generator)
        weights = (mean + deviation * drawn).to(points.x.device)
        scores = critic.scores(points, clusterings(points.x, weights, effort.k))
        order = scores.argsort(descending=True, stable=True)
        if float(scores[order[0]]) > score:
            best, score = weights[order[0]], float(scores[order[0]])
        chosen = weights[order[:elites]].cpu()
        mean, deviation = chosen.mean(0), chosen.std(0, correction=0)
    return Found(compact(clusterings(points.x, best[None].to(points.x.device), effort.k))[0], score, best)


def weight_count(width: int, k: int) -> int:
    """Return the number of weights of a network from points (N, width) to K outputs."""
    return (width + 1) * UNITS + (UNITS + 1) * k


def clusterings(x: Tensor, weights: Tensor, k: int) -> Tensor:
    """Return the clusters (P, N), numbers below K, that networks with weights (P, W) give to points (N, width).

    A network has one hidden layer of 16 rectified units, and a point belongs to its largest output.
    """
    population, width = len(weights), x.shape[1]
    first, second = weights.split([(width + 1) * UNITS, (UNITS + 1) * k], 1)
    inner, outer = first.view(population, width + 1, UNITS), second.view(population, UNITS + 1, k)
    hidden = torch.baddbmm(inner[:, -1:], x.expand(population, -1, -1), inner[:, :-1]).relu()
    # max finds the first largest output in less time than argmax.
    return torch.baddbmm(outer[:, -1:], hidden, outer[:, :-1]).max(2).indices


def extended(found: Found, sample: PointSet, x: Tensor, k: int) -> Tensor:
    """Return the clusters (N',) of other points (N', width), by what a search has found on a sample of the set.

    The network that made the clustering decides; without one it is the nearest points of the sample, most of which are
    in the cluster. The sample's coordinates and `x` must be from one call of `coordinates`. Numbers are those of
    `found.assignment`.
    """
    if found.weights is not None:
        return _by_network(found, sample, x, k)
    near = neighbours_in(sample.x, x)
    votes = torch.zeros(len(x), int(found.assignment.max()) + 1, device=x.device)
    chosen = found.assignment[near]
    votes.scatter_add_(1, chosen, torch.ones(chosen.shape, device=x.device))
    # Of equal numbers of votes, the nearest point's cluster wins.
    votes.scatter_add_(1, chosen[:, :1], torch.full((len(x), 1), 0.5, device=x.device))
    return votes.argmax(1)


def _by_network(found: Found, sample: PointSet, x: Tensor, k: int) -> Tensor:
    """Return the clusters (N',) of the network; those that no point of the sample is in come last."""
    assert found.weights is not None
    raw = torch.cat([clusterings(part, found.weights[None], k)[0] for part in (sample.x, x)])
    return compact(raw[None])[0, len(sample) :]


def neighbours_in(sample: Tensor, x: Tensor, count: int = 5) -> Tensor:
    """Return the positions (N', M) of the points of a sample (N, width) nearest to each of (N', width)."""
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(sample))
    tree = NearestNeighbors(n_neighbors=count).fit(sample.double().cpu().numpy())
    found = tree.kneighbors(x.double().cpu().numpy(), return_distance=False)
    return torch.from_numpy(found).long().to(x.device)
