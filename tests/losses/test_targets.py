"""Sharpened targets and their terms against references in float64, written out item by item."""

import math

import pytest
import torch
from torch import Tensor

from clusterkit.losses.targets import averaged, divergences, risen, sharpened


def soft(items: int, k: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(items, k, generator=generator, dtype=torch.float64)).softmax(1)


def sharpened_item_by_item(q: Tensor) -> Tensor:
    items, k = q.shape
    sizes = [sum(float(q[i, c]) for i in range(items)) for c in range(k)]
    rows = []
    for i in range(items):
        weights = [float(q[i, c]) ** 2 / sizes[c] for c in range(k)]
        rows.append([weight / sum(weights) for weight in weights])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(("items", "k"), [(1, 2), (7, 3), (40, 10)])
def test_targets_are_those_of_the_formula(items: int, k: int) -> None:
    q = soft(items, k)
    torch.testing.assert_close(sharpened(q), sharpened_item_by_item(q))
    torch.testing.assert_close(sharpened(q.float()).double(), sharpened_item_by_item(q), rtol=1e-5, atol=1e-6)


def test_an_empty_cluster_stays_empty() -> None:
    q = torch.tensor([[1.0, 0, 0], [0.4, 0.6, 0]])
    assert sharpened(q).isfinite().all()
    assert not sharpened(q)[:, 2].any()


def test_the_divergence_is_that_of_the_formula() -> None:
    p, q = soft(6, 4, seed=1), soft(6, 4, seed=2)
    p[0] = torch.tensor([1.0, 0, 0, 0])
    logits = q.log().clone().requires_grad_()
    expected = [
        sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(*rows, strict=True) if a)
        for rows in zip(p, q, strict=True)
    ]
    found = divergences(p, logits.log_softmax(1))
    torch.testing.assert_close(found.detach(), torch.tensor(expected, dtype=torch.float64))
    found.sum().backward()
    torch.testing.assert_close(logits.grad, q - p)
    assert divergences(q, q.log()).abs().max() < 1e-12


def test_the_weight_rises_to_one_and_stays() -> None:
    weights = [risen(epoch, 5) for epoch in range(8)]
    assert weights[:2] == [math.exp(-5), math.exp(-5 * 0.8**2)]
    assert weights == sorted(weights)
    assert weights[5:] == [1, 1, 1]


def test_the_ensemble_is_a_weighted_mean_of_the_epochs() -> None:
    epochs, total = [soft(5, 3, seed) for seed in range(4)], torch.zeros(5, 3, dtype=torch.float64)
    for count, latest in enumerate(epochs, 1):
        total = averaged(total, latest, 0.6)
        weights = [0.6 ** (count - 1 - age) for age in range(count)]
        expected = sum((w * q for w, q in zip(weights, epochs, strict=False)), torch.zeros(())) / sum(weights)
        torch.testing.assert_close(total / (1 - 0.6**count), expected)
