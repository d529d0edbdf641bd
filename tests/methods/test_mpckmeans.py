"""MPCK-means: the objective written out pair by pair never gets worse."""

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from clusterkit.methods.mpckmeans import State, objective, reweigh, start, sweep

Array = NDArray[np.float64]


def problem(chosen: int, k: int, seed: int = 0) -> State:
    """Thirty points; random pairs, which contradict each other, of the first so many of them."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((30, 3)) * [1.0, 5.0, 0.0]
    pairs = np.triu(rng.choice([-1.0, 0.0, 1.0], (chosen, chosen), p=[0.5, 0.2, 0.3]), 1)
    return start(points, pairs + pairs.T, np.arange(chosen), k, seed)


def slow_objective(state: State) -> float:
    points, cluster, weight = state.values, state.cluster, state.weight

    def distance(a: Array, b: Array) -> float:
        return float(sum(w * (x - y) ** 2 for w, x, y in zip(weight, a, b, strict=True)))

    total = -len(points) * sum(log(w) for w in weight)
    for number in set(cluster.tolist()):
        members = points[cluster == number]
        total += sum(distance(member, members.mean(0)) for member in members)
    some = [points[i] for i in state.chosen]
    furthest = max(distance(a, b) for a in some for b in some)
    for a in range(len(some)):
        for b in range(a):
            together = cluster[state.chosen[a]] == cluster[state.chosen[b]]
            if state.pairs[a, b] > 0 and not together:
                total += distance(some[a], some[b])
            if state.pairs[a, b] < 0 and together:
                total += furthest - distance(some[a], some[b])
    return total


@pytest.mark.parametrize("chosen", [30, 12])
@pytest.mark.parametrize("k", [2, 6, 25])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_objective_never_gets_worse(chosen: int, k: int, seed: int) -> None:
    state = problem(chosen, k, seed)
    assert objective(state) == pytest.approx(slow_objective(state))
    moves = gains = 0
    for _ in range(12):
        before = slow_objective(state)
        moved = sweep(state)
        assert slow_objective(state) <= before + 1e-9 * abs(before)
        between = slow_objective(state)
        gained = reweigh(state)
        assert objective(state) == pytest.approx(slow_objective(state))
        assert (slow_objective(state) < between) == gained
        moves, gains = moves + moved, gains + gained
    assert moves
    assert gains


def test_a_state_that_no_item_leaves_is_a_fixed_point() -> None:
    state = problem(30, 5)
    for _ in range(50):
        if not sweep(state):
            break
    settled = slow_objective(state)
    for item in range(30):
        home = state.cluster[item]
        for number in set(state.cluster.tolist()) - {home}:
            state.cluster[item] = number
            # The centres are those of before, so that a joint move of item and centre is left out.
            assert slow_objective(state) > settled - 1e-9 or len(state.cluster[state.cluster == home]) == 0
        state.cluster[item] = home


def test_each_item_alone_is_found_where_all_are_dissimilar() -> None:
    points = np.random.default_rng(0).standard_normal((8, 2))
    state = start(points, np.eye(8) - 1, np.arange(8), 8, 0)
    for _ in range(5):
        sweep(state)
    assert len(set(state.cluster.tolist())) == 8


def test_one_cluster_is_kept_where_all_are_similar() -> None:
    points = np.random.default_rng(0).standard_normal((8, 2))
    state = start(points, 1 - np.eye(8), np.arange(8), 4, 0)
    for _ in range(5):
        sweep(state)
    assert len(set(state.cluster.tolist())) == 1
