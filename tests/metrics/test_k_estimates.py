"""Average linkage, against merging by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.metrics.k_estimates import cut, linkage_count, linkage_tree


def merged_by_hand(probability: np.ndarray, level: float) -> set[frozenset[int]]:
    """Join the two groups of the highest mean probability until none is at least at the level."""
    groups = [frozenset([item]) for item in range(len(probability))]
    while len(groups) > 1:
        means = {
            (a, b): np.mean([probability[i, j] for i in a for j in b]) for a in groups for b in groups if a is not b
        }
        (a, b), best = max(means.items(), key=lambda pair: pair[1])
        if best < level:
            break
        groups = [group for group in groups if group not in (a, b)] + [a | b]
    return set(groups)


@given(st.integers(2, 9), st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_groups_are_those_merged_by_hand(count: int, seed: int, level: float) -> None:
    values = np.random.default_rng(seed).random((count, count))
    probability = (values + values.T) / 2
    groups = cut(linkage_tree(probability), level)
    found = {frozenset(np.flatnonzero(groups == group).tolist()) for group in np.unique(groups)}
    assert found == merged_by_hand(probability, level)
    assert linkage_count(probability, 1) == len(merged_by_hand(probability, 0.5))


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.5), st.floats(0.5, 0.9))
def test_a_stricter_cut_only_splits_groups(seed: int, loose: float, strict: float) -> None:
    tree = linkage_tree(np.random.default_rng(seed).random((12, 12)))
    families, groups = cut(tree, loose), cut(tree, strict)
    assert all(len(set(families[groups == group].tolist())) == 1 for group in np.unique(groups))


@pytest.mark.parametrize(("smallest", "expected"), [(1, 3), (2, 2), (3, 1), (9, 1)])
def test_small_groups_do_not_count(smallest: int, expected: int) -> None:
    groups = np.array([0, 0, 0, 1, 1, 2])
    assert linkage_count((groups[:, None] == groups).astype(float), smallest) == expected
