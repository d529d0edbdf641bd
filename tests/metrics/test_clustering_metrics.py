from itertools import permutations
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from clusterkit.metrics.clustering import accuracy, ari, contingency, ndc, nmi

ITEMS = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=25)
ASSIGNED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25)


def both(items: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    clusters, labels = np.array(items).T
    return clusters, labels


@given(ITEMS)
def test_accuracy_is_that_of_the_best_matching_of_all(items: list[tuple[int, int]]) -> None:
    best = 0
    for classes in permutations(range(5)):
        best = max(best, sum(cluster >= 0 and classes[cluster] == label for cluster, label in items))
    assert accuracy(*both(items)) == best / len(items)


@pytest.mark.parametrize(
    ("clusters", "labels", "expected"),
    [
        ([7, 7, 2, 2], [0, 0, 1, 1], 1.0),
        ([0, 1, 2, 3], [0, 0, 1, 1], 0.5),
        ([0, 0, 0, 0], [0, 0, 1, 2], 0.5),
        ([-1, -1, 5, 5], [0, 0, 1, 1], 0.5),
        ([-1, -1], [0, 1], 0.0),
    ],
)
def test_accuracy_of_more_clusters_fewer_and_none(clusters: list[int], labels: list[int], expected: float) -> None:
    assert accuracy(np.array(clusters), np.array(labels)) == expected


def nmi_slowly(clusters: np.ndarray, labels: np.ndarray) -> float:
    count = len(labels)
    p = {c: sum(clusters == c) / count for c in set(clusters.tolist())}
    q = {c: sum(labels == c) / count for c in set(labels.tolist())}
    information = 0.0
    for c in p:
        for d in q:
            joint = sum((clusters == c) & (labels == d)) / count
            if joint > 0:
                information += joint * log(joint / (p[c] * q[d]))
    entropies = [-sum(x * log(x) for x in parts.values()) for parts in (p, q)]
    return information / sqrt(entropies[0] * entropies[1])


@given(ITEMS)
def test_nmi_is_over_the_geometric_mean(items: list[tuple[int, int]]) -> None:
    clusters, labels = both(items)
    found = nmi(clusters, labels)
    assert found == pytest.approx(normalized_mutual_info_score(labels, clusters, average_method="geometric"), abs=1e-9)
    if len(set(clusters.tolist())) > 1 and len(set(labels.tolist())) > 1:
        assert found == pytest.approx(nmi_slowly(clusters, labels), abs=1e-9)
    assert 0 <= found <= 1


def test_nmi_of_one_cluster() -> None:
    one, many = np.zeros(4, int), np.array([0, 1, 2, 3])
    assert nmi(one, one) == 1.0
    assert nmi(one, many) == nmi(many, one) == 0.0
    assert nmi(many, many[::-1]) == pytest.approx(1.0)


@given(ASSIGNED)
def test_ari_is_the_agreement_of_pairs_over_chance(items: list[tuple[int, int]]) -> None:
    clusters, labels = both(items)
    assert ari(clusters, labels) == adjusted_rand_score(labels, clusters)
    n = len(items)
    together = [(clusters[i] == clusters[j], labels[i] == labels[j]) for i in range(n) for j in range(i)]
    hits = sum(a and b for a, b in together)
    rows, columns = sum(a for a, _ in together), sum(b for _, b in together)
    chance = rows * columns / max(1, len(together))
    if (rows + columns) / 2 != chance:
        assert ari(clusters, labels) == pytest.approx((hits - chance) / ((rows + columns) / 2 - chance))


@given(ASSIGNED, st.permutations(range(5)))
def test_the_names_of_the_clusters_do_not_matter(items: list[tuple[int, int]], names: list[int]) -> None:
    clusters, labels = both(items)
    for metric in (accuracy, nmi, ari):
        assert metric(np.array(names)[clusters], labels) == pytest.approx(metric(clusters, labels))
    assert ndc(np.array(names)[clusters], 5) == ndc(clusters, 5)


@given(ITEMS, st.integers(5, 12))
def test_ndc_counts_the_clusters_of_at_least_the_expected_size(items: list[tuple[int, int]], k: int) -> None:
    clusters, _ = both(items)
    assert ndc(clusters, k) == sum(bool(k * sum(clusters == c) >= len(clusters)) for c in range(k))


def test_ndc_of_the_papers_example() -> None:
    """1,000 images and K = 100: a cluster of ten is dominant, one of nine is not."""
    clusters = np.repeat(np.arange(100), [10] * 50 + [9] * 25 + [11] * 25)
    assert len(clusters) == 1000
    assert ndc(clusters, 100) == 75


def test_contingency_counts() -> None:
    table = contingency(np.array([5, 5, 9]), np.array([1, 3, 3]))
    assert table.tolist() == [[1, 1], [0, 1]]
