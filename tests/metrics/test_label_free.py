import math

import pytest
import torch

from clusterkit.metrics.label_free import confidence, pair_agreement
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
