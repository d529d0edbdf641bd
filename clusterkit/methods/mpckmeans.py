"""Metric pairwise constrained k-means, on pairs that may contradict each other (Bilenko, Basu and Mooney 2004)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import squared_distances
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

ROUNDS = 10
"""Of sweeps over the items until none moves, followed by new weights of the values."""
SWEEPS = 20
FLOOR = 1e-6
"""Of the mean spread of a value, below which one value does not count for more."""

Labels = NDArray[np.int64]


def mpckmeans(problem: Problem) -> Clustering:
    """Minimise the distances to the centres, with a weight for each value learned, and the price of violated pairs.

    Pairs are binarised, none is inferred from others, and no violation is excluded; with `max_pairs`, those among a
    random sample of items. Cost: for P pairs, N K D + P D multiplications a round, of at most 10, and N K + P additions
    a sweep; memory: N D and about seven matrices of P.
    """
    state = start(problem.values, problem.pairs, problem.chosen, problem.k, problem.seed)
    for _ in range(ROUNDS):
        for _ in range(SWEEPS):
            if not sweep(state):
                break
        if not reweigh(state):
            break
    return hard(state.cluster, problem.k)


@dataclass
class State:
    """Values (N, D), their weights (D,), the cluster of each (N,), and the pairs (M, M) of the `chosen` of them (M,).

    `distances` (M, M) are the weighted squared ones of the chosen.
    """

    values: Array
    weight: Array
    cluster: Labels
    pairs: Array
    chosen: Labels
    k: int
    rng: np.random.Generator
    distances: Array

    def centres(self) -> Array:
        """Return the mean (K, D) of each cluster; of an empty one, zeros."""
        member = np.eye(self.k)[self.cluster]
        centres: Array = member.T @ self.values / np.maximum(member.sum(0), 1)[:, None]
        return centres


def start(found: Array, pairs: Array, chosen: Labels, k: int, seed: int) -> State:
    """Return the state in which each item is in the neighbourhood, an item and those similar to it, that it fits best.

    The K neighbourhoods are those with the most items not in one before: the transitive closure, which the original
    takes, makes one cluster of all where some pairs are wrong. Items without pairs go to the nearest centre.
    """
    rng = np.random.default_rng(seed)
    near = (pairs > 0) + np.eye(len(pairs))
    free, first = np.ones(len(pairs)), np.empty(k, np.int64)
    for number in range(k):
        gain = near @ free
        first[number] = gain.argmax() if gain.max() > 0 else rng.integers(len(pairs))
        free[near[first[number]] > 0] = 0
    inside = near[first]
    fit = (pairs + np.eye(len(pairs))) @ inside.T / inside.sum(1)
    cluster = np.zeros(len(found), np.int64)
    cluster[chosen] = fit.argmax(1)
    weight = np.ones(found.shape[1])
    state = State(found, weight, cluster, pairs, chosen, k, rng, squared_distances(found[chosen]))
    others = np.setdiff1d(np.arange(len(found)), chosen)
    if len(others):
        member = np.eye(k)[cluster[chosen]]
        centres = member.T @ found[chosen] / np.maximum(member.sum(0), 1)[:, None]
        used = np.flatnonzero(member.any(0))
        cluster[others] = used[to_centres(found[others], centres[used], weight).argmin(1)]
    return state


def to_centres(found: Array, centres: Array, weight: Array) -> Array:
    """Return the weighted squared distances (N, K) of values (N, D) to centres (K, D)."""
    scaled = centres * weight
    distances: Array = (found**2 @ weight)[:, None] - 2 * found @ scaled.T + (scaled * centres).sum(1)
    np.maximum(distances, 0, out=distances)
    return distances


def prices(state: State) -> Array:
    """Return what having two items (M, M) in one cluster costs: less than 0 for similar, more for dissimilar pairs.

    A similar pair that is parted costs its distance, a dissimilar one that is joined what it lacks to the largest
    distance; both count for each of their items.
    """
    similar, dissimilar = state.pairs > 0, state.pairs < 0
    found: Array = dissimilar * (state.distances.max() - state.distances) - similar * state.distances
    return found


def sweep(state: State) -> int:
    """Move each item in a random order to the cluster that costs least, then fill empty ones; return how many moved."""
    to, price = to_centres(state.values, state.centres(), state.weight), prices(state)
    cost = to[state.chosen] + price @ np.eye(state.k)[state.cluster[state.chosen]]
    own = state.cluster[state.chosen]
    empty = np.bincount(state.cluster, minlength=state.k) == 0
    # What has no centre can be no nearest one.
    cost[:, empty], to[:, empty] = np.inf, np.inf
    for item in state.rng.permutation(len(own)):
        best = cost[item].argmin()
        if cost[item, best] < cost[item, own[item]]:
            cost[:, own[item]] -= price[item]
            cost[:, best] += price[item]
            own[item] = best
    before = state.cluster.copy()
    others = np.setdiff1d(np.arange(len(before)), state.chosen)
    state.cluster[others] = to[others].argmin(1)
    state.cluster[state.chosen] = own
    return int((state.cluster != before).sum()) + fill(state, cost, price)


def fill(state: State, cost: Array, price: Array) -> int:
    """Give each empty cluster the item that costs most where it is, if it costs less alone; return how many were."""
    own = state.cluster[state.chosen]
    spent = cost[np.arange(len(own)), own]
    filled = 0
    for number in np.flatnonzero(np.bincount(state.cluster, minlength=state.k) == 0):
        item = int(spent.argmax())
        if spent[item] <= 0:
            break
        spent -= price[item] * (own == own[item])
        own[item], spent[item] = number, -np.inf
        filled += 1
    state.cluster[state.chosen] = own
    return filled


def objective(state: State) -> float:
    """Return what is minimised (Bilenko et al. 2004, with one diagonal metric and all constraint costs one)."""
    chosen = state.cluster[state.chosen]
    joined = chosen[:, None] == chosen
    similar, dissimilar = state.pairs > 0, state.pairs < 0
    violated = (similar & ~joined) * state.distances
    violated += (dissimilar & joined) * (state.distances.max() - state.distances)
    spread: Array = (state.values - state.centres()[state.cluster]) ** 2 @ state.weight
    return float(spread.sum() - len(state.values) * np.log(state.weight).sum() + violated.sum() / 2)


def reweigh(state: State) -> bool:
    """Give each value the weight of least cost; return False, and change nothing, where that is no gain.

    The pair that is farthest apart, against which dissimilar pairs are measured, is another one then, so that a gain is
    not sure.
    """
    from scipy.sparse import csr_array

    found, chosen = state.values[state.chosen], state.cluster[state.chosen]
    joined = chosen[:, None] == chosen
    far = np.unravel_index(state.distances.argmax(), state.distances.shape)
    cannot = csr_array((state.pairs < 0) & joined)
    parted = csr_array((state.pairs > 0) & ~joined)
    spread = ((state.values - state.centres()[state.cluster]) ** 2).sum(0)
    price = spread + between(parted, found) - between(cannot, found)
    price += cannot.sum() / 2 * (found[far[0]] - found[far[1]]) ** 2
    least = FLOOR * len(state.values) * state.values.var(0).mean()
    if not least > 0:
        return False
    weight = len(state.values) / price.clip(least)
    before, old = objective(state), (state.weight, state.distances)
    state.weight, state.distances = weight, squared_distances(found * np.sqrt(weight))
    if objective(state) < before:
        return True
    state.weight, state.distances = old
    return False


def between(pairs: Any, found: Array) -> Array:
    """Return the squared differences (D,) of values (M, D), summed over sparse symmetric pairs (M, M), each once."""
    pairs = pairs.astype(np.float64)
    summed: Array = pairs.sum(1) @ found**2 - (found * (pairs @ found)).sum(0)
    return summed
