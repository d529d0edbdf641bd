"""Clusters under links: must-links always hold, and cannot-links wherever there are clusters enough."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.methods import METHODS
from clusterkit.methods.common.declared import Reads
from clusterkit.methods.common.linked import linked_k_means, settled
from clusterkit.methods.common.points import k_means
from clusterkit.methods.common.solve import sample, solve
from clusterkit.metrics.clustering import accuracy
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.links import Link, closure, contradiction, holding
from tests.problems import case

N, K = 12, 4
PAIR = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.booleans()).filter(lambda pair: pair[0] != pair[1])
LINKS = st.lists(PAIR, max_size=10).map(lambda pairs: [Link(*pair, place) for place, pair in enumerate(pairs)])
SIGNED = [name for name, method in METHODS.items() if method.pairs in (Reads.SIGNS, Reads.PROBABILITIES)]
LABELS = np.repeat(np.arange(4), 15)


@given(LINKS, st.lists(st.integers(-1, K - 1), min_size=N, max_size=N), st.integers(0, 100))
def test_links_are_made_to_hold(links: list[Link], cluster: list[int], seed: int) -> None:
    if contradiction(links) is not None:
        return
    followed = closure(links, N)
    before = np.array(cluster)
    after = settled(before, np.random.default_rng(seed).random((N, K)), followed)
    holds = holding(links, after)
    assert all(hold for link, hold in zip(links, holds, strict=True) if link.must)
    degree = np.bincount(followed.apart.ravel(), minlength=1).max()
    assert degree >= K or all(holds)
    assert (after[~followed.linked] == before[~followed.linked]).all()
    if all(holding(links, before)):
        assert (after == before).all(), "what holds stays"


def test_without_links_nothing_changes() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    assert linked_k_means(points, 4, 7, None, "all").tolist() == k_means(points, 4, 7, "all").tolist()
    assert settled(np.arange(5) - 1, np.zeros((5, 4)), None).tolist() == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize("size", [5, 12, 30])
def test_the_linked_items_are_among_those_whose_pairs_are_used(size: int) -> None:
    links = closure([Link(40, 3, True, 0), Link(3, 59, False, 1)], 60)
    chosen = sample(60, size**2, 0, links)
    assert len(set(chosen.tolist())) == size
    assert {3, 40, 59} <= set(chosen.tolist())


@pytest.mark.parametrize("weight", [None, 0.5, 50.0])
@pytest.mark.parametrize("method", SIGNED)
def test_every_method_holds_links_against_other_pairs(method: str, weight: float | None, tmp_path: Path) -> None:
    if weight is not None and METHODS[method].pairs is Reads.PROBABILITIES:
        return
    rng = np.random.default_rng(0)
    x = 4 * np.eye(4)[LABELS] + rng.normal(0, 0.5, (60, 4))
    wrong = np.where(np.arange(60) % 15 == 0, (LABELS + 1) % 4, LABELS)
    logits = torch.from_numpy(np.where(wrong[:, None] == wrong, 3.0, -3.0))
    links = [Link(15 * c, 15 * c + i, True, i) for c in range(4) for i in (1, 2)]
    links += [Link(15 * c + 3, (15 * c + 18) % 60, False, c) for c in range(4)]
    pairs = constrain(DensePairs(logits), closure(links, 60), weight)
    asked = case(method, torch.from_numpy(x).float(), pairs, 0 if METHODS[method].finds_k else 4, tmp_path)
    found = solve(asked.config, asked.items, asked.question, asked.run).cluster
    assert all(holding(links, found))
    # Wrong pairs of far items are dear to MPCK-means, and few weighty pairs draw the cuts of CSP to them.
    if method not in ("skms", "mpckmeans") and (method != "csp" or weight != 50):
        assert accuracy(found, LABELS) == 1
