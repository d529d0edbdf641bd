"""What follows from links: groups, pairs of groups that cannot be together, and contradictions."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.pairs.constraints import ConstrainedPairs, constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.links import Link, all_hold, closure, contradiction, held_counts, holding
from clusterkit.pairs.source import CERTAIN

N = 9
PAIR = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.booleans()).filter(lambda pair: pair[0] != pair[1])
LINKS = st.lists(PAIR, max_size=12).map(lambda pairs: [Link(*pair, place) for place, pair in enumerate(pairs)])


def followed(links: list[Link]) -> np.ndarray:
    """1, -1 and 0 (N, N) by the rules, repeated until nothing follows any more; 2 where both follow."""
    must, cannot = np.eye(N, dtype=bool), np.zeros((N, N), bool)
    for link in links:
        matrix = must if link.must else cannot
        matrix[link.a, link.b] = matrix[link.b, link.a] = True
    for _ in range(N):
        must = must @ must
        cannot = cannot | (must @ cannot @ must)
    return np.where(must & cannot, 2, must.astype(int) - cannot)


def shortest(links: list[Link], start: int, end: int) -> int:
    reached, steps = {start}, 0
    while end not in reached:
        steps += 1
        reached |= {b if a in reached else a for a, b, must in ((k.a, k.b, k.must) for k in links)
                    if must and (a in reached) != (b in reached)}  # fmt: skip
    return steps


@given(LINKS)
def test_a_contradiction_is_found_with_a_shortest_chain(links: list[Link]) -> None:
    wrong = contradiction(links)
    assert (wrong is not None) == bool((followed(links) == 2).any())
    if wrong is None:
        return
    assert not wrong.cannot.must
    assert (wrong.items[0], wrong.items[-1]) == (wrong.cannot.a, wrong.cannot.b)
    assert len(wrong.chain) == len(wrong.items) - 1 == shortest(links, wrong.cannot.a, wrong.cannot.b)
    for link, pair in zip(wrong.chain, itertools.pairwise(wrong.items), strict=True):
        assert link.must
        assert {link.a, link.b} == set(pair)


@given(LINKS, st.lists(st.integers(0, N - 1), min_size=1, max_size=12), st.lists(st.integers(0, N - 1), min_size=1))
def test_all_that_follows_holds_and_no_more(links: list[Link], rows: list[int], columns: list[int]) -> None:
    if contradiction(links) is not None:
        return
    expected, logit = followed(links), torch.arange(N * N).reshape(N, N).float()
    base = DensePairs(logit + logit.T)
    pairs = constrain(base, closure(links, N))
    found = pairs.logits(torch.tensor(rows), torch.tensor(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            link = 0 if row == column else expected[row, column]
            assert found[i, j] == (CERTAIN * link if link else base.logit[row, column])
    if not links:
        assert pairs is base
        return
    assert isinstance(pairs, ConstrainedPairs)
    of_pairs = expected - np.eye(N, dtype=int) * (expected.diagonal() == 1)
    assert pairs.closure.count_together == (of_pairs == 1).sum()
    assert pairs.closure.count_apart == (of_pairs == -1).sum()
    assert pairs.closure.linked.tolist() == (of_pairs != 0).any(1).tolist()


@given(LINKS, st.permutations(range(N)))
def test_the_closure_of_items_in_another_order(links: list[Link], order: list[int]) -> None:
    if contradiction(links) is not None:
        return
    place = np.argsort(order)
    moved = [Link(int(place[link.a]), int(place[link.b]), link.must, link.place) for link in links]
    every = torch.arange(N)
    one, other = (
        constrain(None, found).logits(every, every)
        for found in (closure(links, N).take(np.array(order)), closure(moved, N))
    )
    assert torch.equal(one.nan_to_num(7), other.nan_to_num(7))


@given(LINKS, st.lists(st.integers(-1, 3), min_size=N, max_size=N))
def test_what_holds_is_counted_over_the_links_alone(links: list[Link], cluster: list[int]) -> None:
    clusters = np.array(cluster)
    holds = holding(links, clusters)
    together = [cluster[link.a] == cluster[link.b] != -1 for link in links]
    assert holds == [same == link.must for same, link in zip(together, links, strict=True)]
    counts = held_counts(links, holds)
    assert counts["must"]["of"] + counts["cannot"]["of"] == len(links)
    assert counts["must"]["held"] + counts["cannot"]["held"] == sum(holds)
    if clusters.min() >= 0 and contradiction(links) is None:
        assert all_hold(closure(links, N), clusters) == all(holds)


def test_a_chain_of_many_links_is_closed_at_once() -> None:
    links = [Link(i, i + 1, True, i) for i in range(20_000)]
    assert closure(links, 20_001).count_together == 20_001 * 20_000
    wrong = contradiction([*links, Link(20_000, 0, False, 20_000)])
    assert wrong is not None
    assert len(wrong.chain) == 20_000


def test_weights_have_the_same_sum_in_every_batch() -> None:
    links = closure([Link(0, 1, True, 0), Link(1, 2, True, 1), Link(3, 4, False, 2)], 20)
    pairs = constrain(DensePairs(torch.zeros(20, 20)), links)
    assert isinstance(pairs, ConstrainedPairs)
    for batch in (torch.arange(10), torch.tensor([0, 1, 3, 4, 7, 9])):
        weights, kinds = pairs.weights(batch), pairs.links(batch, batch)
        sums = [float(weights[kinds == kind].sum()) / len(batch) ** 2 for kind in (1, -1)]
        np.testing.assert_allclose(sums, [1 / 3, 1 / 3], rtol=1e-6)
        assert torch.equal(weights, weights.T)
    heavy = constrain(DensePairs(torch.zeros(20, 20)), links, 5.0)
    assert isinstance(heavy, ConstrainedPairs)
    weights = heavy.weights(torch.arange(20))
    assert float(weights[0, 1] / weights[5, 6]) == float(weights[3, 4] / weights[5, 6]) == 5
    assert abs(float(weights.mean()) - 1) < 0.1
