"""Metric pairwise constrained k-means, on pairs that may contradict each other (Bilenko, Basu and Mooney 2004)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import centred, squared_distances
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard

ROUNDS = 10
"""Rounds of sweeps until no item moves, each followed by new weights of the values."""
SWEEPS = 20
"""Largest number of sweeps over the items in a round."""
FLOOR = 1e-6
"""Smallest spread of a value that affects its weight, as a share of the mean spread."""

Labels = NDArray[np.int64]


def mpckmeans(problem: Problem) -> Clustering:
    """Minimise the distances to the centres, under learned weights of the values, plus the price of violated pairs.

    Pairs are binarised, and none is inferred from others; with `max_pairs`, they are those among a random sample of
    items. Violations cost, but are never excluded.
    """
    state = start(centred(problem.values), problem.pairs, problem.chosen, problem.k, problem.seed)
    for _ in range(ROUNDS):
        for _ in range(SWEEPS):
            if not sweep(state):
                break
        if not reweigh(state):
            break
    return hard(state.cluster, problem.k)


@dataclass
class State:
    """Values (N, D), their weights (D,), the cluster (N,) of each item, and pairs (M, M) of the `chosen` items (M,).

    `distances` (M, M) are the weighted squared distances of the chosen items.
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
        """Return the mean (K, D) of each cluster, which is zero for an empty cluster."""
        member = np.eye(self.k)[self.cluster]
        centres: Array = member.T @ self.values / np.maximum(member.sum(0), 1)[:, None]
        return centres


def start(values: Array, pairs: Array, chosen: Labels, k: int, seed: int) -> State:
    """Return the state in which each item belongs to the neighbourhood that it fits best.

    A neighbourhood is an item and all items similar to it. The K neighbourhoods are those with the most items that are
    in no earlier one. The original takes the transitive closure, which is one cluster of all items if some pairs are
    wrong. Items without pairs go to the nearest centre.
    """
    rng = np.random.default_rng(seed)
    neighbourhoods = (pairs > 0) + np.eye(len(pairs))
    free, first = np.ones(len(pairs)), np.empty(k, np.int64)
    for number in range(k):
        gain = neighbourhoods @ free
        first[number] = gain.argmax() if gain.max() > 0 else rng.integers(len(pairs))
        free[neighbourhoods[first[number]] > 0] = 0
    members = neighbourhoods[first]
    fit = (pairs + np.eye(len(pairs))) @ members.T / members.sum(1)
    cluster = np.zeros(len(values), np.int64)
    cluster[chosen] = fit.argmax(1)
    weight = np.ones(values.shape[1])
    state = State(values, weight, cluster, pairs, chosen, k, rng, squared_distances(values[chosen]))
    unpaired = np.setdiff1d(np.arange(len(values)), chosen)
    if len(unpaired):
        member = np.eye(k)[cluster[chosen]]
        centres = member.T @ values[chosen] / np.maximum(member.sum(0), 1)[:, None]
        used = np.flatnonzero(member.any(0))
        cluster[unpaired] = used[to_centres(values[unpaired], centres[used], weight).argmin(1)]
    return state


def to_centres(values: Array, centres: Array, weight: Array) -> Array:
    """Return the weighted squared distances (N, K) of values (N, D) to centres (K, D)."""
    scaled = centres * weight
    distances: Array = (values**2 @ weight)[:, None] - 2 * values @ scaled.T + (scaled * centres).sum(1)
    np.maximum(distances, 0, out=distances)
    return distances


def prices(state: State) -> Array:
    """Return the cost (M, M) of joining two items in one cluster: negative if similar, positive if dissimilar.

    A separated similar pair costs its distance. A joined dissimilar pair costs the difference between its distance and
    the largest distance. Both count for each of their items.
    """
    similar, dissimilar = state.pairs > 0, state.pairs < 0
    price: Array = dissimilar * (state.distances.max() - state.distances) - similar * state.distances
    return price


def sweep(state: State) -> int:
    """Move each item in random order to the cheapest cluster, then fill empty clusters; return the number of moves."""
    to, price = to_centres(state.values, state.centres(), state.weight), prices(state)
    cost = to[state.chosen] + price @ np.eye(state.k)[state.cluster[state.chosen]]
    current = state.cluster[state.chosen]
    empty = np.bincount(state.cluster, minlength=state.k) == 0
    # An empty cluster has no centre to be near to.
    cost[:, empty], to[:, empty] = np.inf, np.inf
    for item in state.rng.permutation(len(current)):
        best = cost[item].argmin()
        if cost[item, best] < cost[item, current[item]]:
            cost[:, current[item]] -= price[item]
            cost[:, best] += price[item]
            current[item] = best
    before = state.cluster.copy()
    unpaired = np.setdiff1d(np.arange(len(before)), state.chosen)
    state.cluster[unpaired] = to[unpaired].argmin(1)
    state.cluster[state.chosen] = current
    return int((state.cluster != before).sum()) + fill(state, cost, price)


def fill(state: State, cost: Array, price: Array) -> int:
    """Move the item that costs most to each empty cluster, if it costs less alone; return the number of moves."""
    current = state.cluster[state.chosen]
    spent = cost[np.arange(len(current)), current]
    filled = 0
    for number in np.flatnonzero(np.bincount(state.cluster, minlength=state.k) == 0):
        item = int(spent.argmax())
        if spent[item] <= 0:
            break
        spent -= price[item] * (current == current[item])
        current[item], spent[item] = number, -np.inf
        filled += 1
    state.cluster[state.chosen] = current
    return filled


def objective(state: State) -> float:
    """Return the objective (Bilenko et al. 2004, with one diagonal metric, and constraint costs of one)."""
    chosen = state.cluster[state.chosen]
    joined = chosen[:, None] == chosen
    similar, dissimilar = state.pairs > 0, state.pairs < 0
    violated = (similar & ~joined) * state.distances
    violated += (dissimilar & joined) * (state.distances.max() - state.distances)
    spread: Array = (state.values - state.centres()[state.cluster]) ** 2 @ state.weight
    return float(spread.sum() - len(state.values) * np.log(state.weight).sum() + violated.sum() / 2)


def reweigh(state: State) -> bool:
    """Give each value the weight of least cost; return False, and change nothing, if that does not lower the objective.

    A gain is not certain, because the farthest pair, against which dissimilar pairs are measured, changes with the
    weights.
    """
    from scipy.sparse import csr_array

    values, chosen = state.values[state.chosen], state.cluster[state.chosen]
    together = chosen[:, None] == chosen
    farthest = np.unravel_index(state.distances.argmax(), state.distances.shape)
    cannot = csr_array((state.pairs < 0) & together)
    separated = csr_array((state.pairs > 0) & ~together)
    spread = ((state.values - state.centres()[state.cluster]) ** 2).sum(0)
    price = spread + between(separated, values) - between(cannot, values)
    price += cannot.sum() / 2 * (values[farthest[0]] - values[farthest[1]]) ** 2
    least = FLOOR * len(state.values) * state.values.var(0).mean()
    if not least > 0:
        return False
    weight = len(state.values) / price.clip(least)
    before, former = objective(state), (state.weight, state.distances)
    state.weight, state.distances = weight, squared_distances(values * np.sqrt(weight))
    if objective(state) < before:
        return True
    state.weight, state.distances = former
    return False


def between(pairs: Any, values: Array) -> Array:
    """Return the squared differences (D,) of values (M, D), summed over sparse symmetric pairs (M, M), each once."""
    pairs = pairs.astype(np.float64)
    differences: Array = pairs.sum(1) @ values**2 - (values * (pairs @ values)).sum(0)
    return differences
