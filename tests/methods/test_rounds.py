"""The number of groups by communities of graphs of neighbours."""

import numpy as np
import pytest

from clusterkit.methods.common.rounds import (
    SHARE,
    SMALLEST,
    calibrated_share,
    communities,
    count_in_sample,
    fitting_groups,
    neighbours,
    scaled_graph,
)  # fmt: skip


def count(rows: np.ndarray, seed: int) -> dict[str, int]:
    return count_in_sample(rows, seed)[0]


def blobs(sizes: list[int], noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Rows of length one around as many random directions of 40 dimensions as there are sizes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), 40))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = np.repeat(centres, sizes, axis=0)
    rows = rows + noise * rng.normal(size=rows.shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("sizes", [[60, 60], [30] * 5, [12] * 20, [10, 10, 10]])
def test_groups_of_equal_size_are_counted(sizes):
    assert set(count(blobs(sizes), 0).values()) == {len(sizes)}


def test_groups_of_very_different_size_are_counted():
    sizes = [800, 250, 80, 25, 8]
    assert count(blobs(sizes), 0)["communities"] == len(sizes)


def sheets(sizes: list[int], seed: int) -> np.ndarray:
    """Rows of length one on flat squares in 40 dimensions, which graphs of few neighbours divide."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        centre, *sides = np.linalg.qr(rng.normal(size=(40, 3)))[0].T
        parts.append(centre + rng.uniform(-0.8, 0.8, (size, 2)) @ sides + 0.03 * rng.normal(size=(size, 40)))
    rows = np.concatenate(parts)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_second_round_joins_what_the_first_one_divides():
    """One round finds 5.0 of the three groups in the mean."""
    assert 3 <= np.mean([count(sheets([100] * 3, seed), 0)["communities"] for seed in range(6)]) < 4.2


def test_one_group_is_counted_as_one():
    assert set(count(blobs([200]), 0).values()) == {1}
    rows = np.random.default_rng(0).normal(size=(200, 20))
    assert count(rows / np.linalg.norm(rows, axis=1, keepdims=True), 0)["communities"] == 1


def test_the_order_of_items_and_copies_of_them_do_not_matter():
    rows = blobs([40, 20, 20, 10], noise=0.2)
    order = np.random.default_rng(1).permutation(len(rows))
    estimates = count(rows, 0)
    assert count(rows[order], 0) == estimates
    assert count(np.concatenate([rows, rows[:15], rows[:15]]), 0) == estimates


@pytest.mark.parametrize(
    "rows",
    [np.ones((50, 4)) / 2, np.zeros((5, 3)), np.eye(1), np.eye(2), np.eye(3), np.eye(4), np.repeat(np.eye(2), 9, 0)],
)
def test_sets_in_which_there_is_nothing_to_count(rows):
    estimates = count(rows.astype(np.float32), 0)
    assert 1 <= estimates["communities"] <= max(1, len(rows) // SMALLEST)


def test_few_items():
    assert count(blobs([8, 7]), 0)["communities"] == 2
    assert count(blobs([3]), 0)["communities"] == 1


def test_neighbours_are_the_nearest_in_order():
    rows = blobs([5, 5])
    nearest, distances = neighbours(rows, 3)
    full = ((rows[:, None] - rows) ** 2).sum(-1)
    np.fill_diagonal(full, np.inf)
    assert np.array_equal(nearest, np.argsort(full, axis=1)[:, :3])
    assert np.allclose(distances, np.sort(full, axis=1)[:, :3])


def test_resolution_splits_groups_and_the_share_decides_how_far():
    nearest, distances = neighbours(blobs([40] * 4, noise=0.2), 5)
    graph = scaled_graph(nearest, distances, np.full(160, 5))
    assert np.array_equal(np.unique(communities(graph, 0.5, 0), return_counts=True)[1], [40] * 4)
    assert communities(graph, 50.0, 0).max() > 10
    counts = [fitting_groups(graph, 0, share)[0] for share in (0.01, 0.3, 4)]
    assert counts == sorted(counts)
    assert counts[1] == 4 < counts[2]


def test_the_share_follows_what_counts_as_a_class_among_kept_out_ones():
    rng = np.random.default_rng(0)
    top = rng.normal(size=(3, 1, 40))
    top /= np.linalg.norm(top, axis=-1, keepdims=True)
    sub = rng.normal(size=(3, 3, 40))
    centres = (top + sub / np.linalg.norm(sub, axis=-1, keepdims=True) / 2).reshape(9, 40)
    classes = np.repeat(np.arange(9), 15)
    rows = centres[classes] / np.linalg.norm(centres[classes], axis=1, keepdims=True)
    rows = rows + 0.1 * rng.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    fine, coarse = (calibrated_share([(rows, labels)], 0) for labels in (classes, classes // 3))
    assert fine > SHARE > coarse


def test_without_kept_out_classes_or_where_all_shares_serve_it_is_the_usual_one():
    assert calibrated_share([], 0) == SHARE
    assert calibrated_share([(np.zeros((0, 0)), np.zeros(0, np.int64)), (np.eye(4), np.arange(4))], 0) == SHARE
    assert calibrated_share([(blobs([12] * 3), np.repeat(np.arange(3), 12))], 0) == SHARE
