"""Metric pairwise constrained k-means, on pairs that may contradict each other (Bilenko, Basu and Mooney 2004)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.linked import linked_k_means, settled, to_centres
from clusterkit.methods.common.points import centred, squared_distances
from clusterkit.methods.common.problem import Array, Clustering, Problem, hard
from clusterkit.pairs.links import Closure

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
    items. Violations cost, but are never excluded. Under links, items that must be together move together.
    """
    values = centred(problem.values)
    state = start(
        values, problem.pairs, problem.chosen, problem.k, problem.seed, problem.links, problem.alone, problem.title
    )
    for _ in range(ROUNDS):
        for _ in range(SWEEPS):
            if not sweep(state):
                break
        if not reweigh(state):
            break
    if problem.links is None:
        return hard(state.cluster, problem.k)
    cost = to_centres(state.values, state.centres(), state.weight)
    cost[:, np.bincount(state.cluster, minlength=problem.k) == 0] = np.inf
    return hard(settled(state.cluster, cost, problem.links), problem.k)


@dataclass
class State:
    """Values (N, D), their weights (D,), the cluster (N,) of each item, and pairs (M, M) of the `chosen` items (M,).

    `distances` (M, M) are the weighted squared distances of the chosen items. `units` are the places among them of
    items that move together.
    """

    values: Array
    weight: Array
    cluster: Labels
    pairs: Array
    chosen: Labels
    k: int
    rng: np.random.Generator
    distances: Array
    units: list[Labels]

    def centres(self) -> Array:
        """Return the mean (K, D) of each cluster, which is zero for an empty cluster."""
        member = np.eye(self.k)[self.cluster]
        centres: Array = member.T @ self.values / np.maximum(member.sum(0), 1)[:, None]
        return centres


def start(
    values: Array, pairs: Array, chosen: Labels, k: int, seed: int, links: Closure | None = None, alone: bool = False,
    title: str = "all",
) -> State:  # fmt: skip
    """Return the state in which each item belongs to the neighbourhood that it fits best.

    A neighbourhood is an item and all items similar to it. The K neighbourhoods are those with the most items that are
    in no earlier one. The original takes the transitive closure, which is one cluster of all items if some pairs are
    wrong. Items without pairs go to the nearest centre. Links that are `alone` are too few for neighbourhoods: the
    start is then k-means under the links.
    """
    rng = np.random.default_rng(seed)
    units = units_of(len(chosen) if links is None else links.group[chosen])
    weight = np.ones(values.shape[1])
    if alone:
        cluster = linked_k_means(values, k, seed, links, title).astype(np.int64)
        return State(values, weight, cluster, pairs, chosen, k, rng, squared_distances(values[chosen]), units)
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
    for unit in units:
        if len(unit) > 1:
            cluster[chosen[unit]] = fit[unit].sum(0).argmax()
    state = State(values, weight, cluster, pairs, chosen, k, rng, squared_distances(values[chosen]), units)
    unpaired = np.setdiff1d(np.arange(len(values)), chosen)
    if len(unpaired):
        member = np.eye(k)[cluster[chosen]]
        centres = member.T @ values[chosen] / np.maximum(member.sum(0), 1)[:, None]
        used = np.flatnonzero(member.any(0))
        cluster[unpaired] = used[to_centres(values[unpaired], centres[used], weight).argmin(1)]
    return state


def units_of(groups: Labels | int) -> list[Labels]:
    """Return the places of the items of each group, given the group (M,) of each, or M items without groups."""
    if isinstance(groups, int):
        return list(np.arange(groups)[:, None])
    order = groups.argsort(kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def prices(state: State) -> Array:
    """Return the cost (M, M) of joining two items in one cluster: negative if similar, positive if dissimilar.

    A separated similar pair costs its distance. A joined dissimilar pair costs the difference between its distance and
    the largest distance. Both count for each of their items, as often as the pair's weight says. Items that move
    together are never separated.
    """
    similar, dissimilar = state.pairs > 0, state.pairs < 0
    price: Array = dissimilar * (state.distances.max() - state.distances) - similar * state.distances
    price *= np.abs(state.pairs)
    for unit in state.units:
        if len(unit) > 1:
            price[np.ix_(unit, unit)] = 0
    return price


def sweep(state: State) -> int:
    """Move each item in random order to the cheapest cluster, then fill empty clusters; return the number of moves."""
    to, price = to_centres(state.values, state.centres(), state.weight), prices(state)
    cost = to[state.chosen] + price @ np.eye(state.k)[state.cluster[state.chosen]]
    current = state.cluster[state.chosen]
    empty = np.bincount(state.cluster, minlength=state.k) == 0
    # An empty cluster has no centre to be near to.
    cost[:, empty], to[:, empty] = np.inf, np.inf
    for number in state.rng.permutation(len(state.units)):
        unit = state.units[number]
        item = unit[0]
        of_unit = cost[item] if len(unit) == 1 else cost[unit].sum(0)
        best = of_unit.argmin()
        if of_unit[best] < of_unit[current[item]]:
            change = price[item] if len(unit) == 1 else price[unit].sum(0)
            cost[:, current[item]] -= change
            cost[:, best] += change
            current[unit] = best
    before = state.cluster.copy()
    unpaired = np.setdiff1d(np.arange(len(before)), state.chosen)
    state.cluster[unpaired] = to[unpaired].argmin(1)
    state.cluster[state.chosen] = current
    return int((state.cluster != before).sum()) + fill(state, cost, price)


def fill(state: State, cost: Array, price: Array) -> int:
    """Move the item that costs most to each empty cluster, if it costs less alone; return the number of moves."""
    current = state.cluster[state.chosen]
    spent = cost[np.arange(len(current)), current]
    for unit in state.units:
        if len(unit) > 1:
            spent[unit] = -np.inf
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
    violated *= np.abs(state.pairs)
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
    cannot = csr_array(np.where(together, (-state.pairs).clip(0), 0))
    separated = csr_array(np.where(together, 0, state.pairs.clip(0)))
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
