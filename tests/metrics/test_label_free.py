import math

import numpy as np
import pytest
import torch

from clusterkit.metrics.label_free import confidence, indices, pair_agreement
from clusterkit.pairs.dense import DensePairs


def test_sure_and_even() -> None:
    assert confidence(torch.eye(4)) == {"entropy": 0, "balance": pytest.approx(1)}


def test_unsure() -> None:
    assert confidence(torch.full((3, 4), 0.25)) == pytest.approx({"entropy": 1, "balance": 1})


def test_all_in_one_class() -> None:
    assert confidence(torch.tensor([[0.0, 1], [0, 1]])) == {"entropy": 0, "balance": 0}


def test_entropies_by_hand() -> None:
    found = confidence(torch.tensor([[0.5, 0.5, 0], [1, 0, 0]]))
    mean = [0.75, 0.25]
    assert found["entropy"] == pytest.approx(math.log(2) / 2 / math.log(3))
    assert found["balance"] == pytest.approx(-sum(p * math.log(p) for p in mean) / math.log(3))


def test_agreement_pair_by_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 9, generator=generator)
    logits = logits + logits.T
    classes = torch.randint(3, (9,), generator=generator)
    right = {True: [], False: []}
    for i in range(9):
        for j in range(9):
            if i != j:
                right[bool(logits[i, j] > 0)].append(bool(classes[i] == classes[j]) == bool(logits[i, j] > 0))
    expected = sum(sum(part) / len(part) for part in right.values()) / 2
    assert pair_agreement(DensePairs(logits), classes, 0) == pytest.approx(expected)


def test_agreement_with_one_kind_of_pairs() -> None:
    assert pair_agreement(DensePairs(torch.ones(4, 4)), torch.tensor([0, 0, 0, 0]), 0) == 1
    assert pair_agreement(DensePairs(-torch.ones(4, 4)), torch.tensor([0, 0, 0, 0]), 0) == 0
    assert pair_agreement(DensePairs(torch.ones(1, 1)), torch.tensor([0]), 0) == 0


def test_indices_of_two_groups_by_hand() -> None:
    values, cluster = np.array([[0.0], [1], [10], [11]]), np.array([0, 0, 1, 1])
    found = indices(values, cluster, seed=0)
    # Of the outer points the silhouette is 1 - 1 / 10.5, of the inner ones 1 - 1 / 9.5.
    assert found["silhouette"] == pytest.approx(1 - (1 / 10.5 + 1 / 9.5) / 2)
    # Between the groups the sum of squares is 100 by 1 degree of freedom, within them 1 by 2.
    assert found["calinski_harabasz"] == pytest.approx(100 / (1 / 2))


@pytest.mark.parametrize("cluster", [[0, 0, 0], [0, 1, 2]])
def test_indices_of_one_cluster_and_of_as_many_as_items_are_not_defined(cluster: list[int]) -> None:
    assert indices(np.array([[0.0], [1], [5]]), np.array(cluster), seed=0) == {}
