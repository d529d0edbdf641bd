"""The terms of SUPREME against the same formulas written out pair by pair in float64."""

import math

import pytest
import torch
from torch import Tensor

from clusterkit.losses import blocks
from clusterkit.losses.supreme import (
    EPSILON,
    agreement,
    confidence,
    constrained,
    imbalance,
    indecision,
    joint_entropy,
    soft_constraints,
    weighted_constraints,
)

CASES = [(7, 5, 1.0), (6, 2, 3.0), (5, 20, 0.3)]
"""Items, clusters, and the spread of the logits."""


def assignments(size: int, k: int, spread: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(size, k, generator=generator, dtype=torch.float64)).softmax(1)


def together(left: Tensor, right: Tensor) -> Tensor:
    return sum((left[k] * right[k] for k in range(len(left))), torch.zeros((), dtype=torch.float64))


def entropy_of_pair(left: Tensor, right: Tensor) -> float:
    joint = [float(left[k] * right[k]) for k in range(len(left))]
    return -sum(value * math.log(value) for value in joint if value > 0)


def weights(prob: Tensor, tau: float) -> Tensor:
    """Equation 4: a softmax over all pairs of how far the entropy is below its maximum."""
    most = math.log(prob.shape[1]) ** 2
    lack = [[(most - entropy_of_pair(left, right)) / (most * tau) for right in prob] for left in prob]
    whole = sum(math.exp(value) for row in lack for value in row)
    return torch.tensor([[math.exp(value) / whole for value in row] for row in lack], dtype=torch.float64)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("size", "k", "spread"), CASES)
def test_constraints_and_entropies_are_those_of_each_pair(size: int, k: int, spread: float) -> None:
    p, q = assignments(size, k, spread, 1), assignments(size + 1, k, spread, 2)
    close(
        soft_constraints(p.float(), q.float()), torch.tensor([[float(together(a, b)) for b in q] for a in p]).double()
    )
    expected = torch.tensor([[entropy_of_pair(a, b) for b in p] for a in p], dtype=torch.float64)
    close(joint_entropy(p.float()), expected)


@pytest.mark.parametrize("tau", [0.05, 0.25, 2.0])
@pytest.mark.parametrize(("size", "k", "spread"), CASES)
def test_confidence_is_a_softmax_over_all_pairs(size: int, k: int, spread: float, tau: float) -> None:
    p = assignments(size, k, spread, 3)
    found = confidence(p.float(), tau)
    close(found, weights(p, tau))
    close(found.sum(), torch.ones((), dtype=torch.float64))
    constraints = torch.tensor([[float(together(a, b)) for b in p] for a in p], dtype=torch.float64)
    close(weighted_constraints(p.float(), tau), (weights(p, tau) * constraints).fill_diagonal_(0))


def test_a_low_temperature_leaves_the_weights_finite() -> None:
    uniform = torch.full((4, 20), 0.05)
    for prob in (uniform, uniform.log().softmax(1), torch.eye(4), assignments(6, 9, 0.1, 0).float()):
        found = confidence(prob, 1e-3)
        assert found.isfinite().all()
        assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_both_readings_of_the_greatest_entropy_are_one_at_another_temperature() -> None:
    """(log K)² and log(K²) differ by a factor, which the temperature takes up."""
    p, k, tau = assignments(6, 9, 1.0, 5), 9, 0.25
    most = math.log(k**2)
    lack = torch.tensor([[(most - entropy_of_pair(a, b)) / (most * tau) for b in p] for a in p])
    other = lack.flatten().softmax(0).view(6, 6).double()
    close(confidence(p.float(), tau * most / math.log(k) ** 2), other)


@pytest.mark.parametrize("elements", [blocks.BLOCK_ELEMENTS, 1, 13])
@pytest.mark.parametrize(("size", "k", "spread"), CASES)
def test_value_and_gradients_of_the_pairs(
    size: int, k: int, spread: float, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    p, q = (assignments(size, k, spread, seed).requires_grad_() for seed in (1, 2))
    target = torch.rand(size, size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(size):
        for j in range(size):
            expected = expected - target[i, j] * (together(p[i], q[j]) + EPSILON).log()
    (3 * expected).backward()
    first, second = (x.detach().float().requires_grad_() for x in (p, q))
    value = constrained(first, second, target.float())
    (3 * value).backward()
    close(value.detach(), expected.detach())
    for found, wanted in ((first, p), (second, q)):
        assert found.grad is not None
        assert wanted.grad is not None
        torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=1e-4, atol=1e-5)


def test_certain_assignments_keep_value_and_gradient_finite() -> None:
    p = torch.eye(4).requires_grad_()
    value = constrained(p, torch.eye(4).flip(0), torch.ones(4, 4))
    value.backward()
    assert value.isfinite()
    assert p.grad is not None
    assert p.grad.isfinite().all()


@pytest.mark.parametrize(("size", "k", "spread"), CASES)
def test_agreement_of_two_views(size: int, k: int, spread: float) -> None:
    p, q = assignments(size, k, spread, 1), assignments(size, k, spread, 2)
    expected = [-math.log(float(together(a, b)) + EPSILON) for a, b in zip(p, q, strict=True)]
    close(agreement(p.float(), q.float()), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(("size", "k", "spread"), CASES)
def test_imbalance_is_zero_for_equal_clusters_and_log_k_for_one(size: int, k: int, spread: float) -> None:
    p = assignments(size, k, spread, 1)
    shares = [sum(float(row[c]) for row in p) / size for c in range(k)]
    expected = math.log(k) + sum(share * math.log(share) for share in shares)
    assert float(imbalance(p.float())) == pytest.approx(expected, abs=1e-5)
    assert float(imbalance(torch.eye(k))) == pytest.approx(0, abs=1e-5)
    assert float(imbalance(torch.eye(k)[:1].expand(size, k))) == pytest.approx(math.log(k), abs=1e-5)


def test_indecision_is_the_mean_binary_entropy() -> None:
    factors = torch.rand(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    entropies = [-x * math.log(x) - (1 - x) * math.log(1 - x) for x in factors.flatten().tolist()]
    assert float(indecision(factors.float())) == pytest.approx(sum(entropies) / 24, abs=1e-6)
    assert float(indecision(torch.tensor([[0.0, 1.0]]))) == 0
    assert float(indecision(torch.full((2, 3), 0.5))) == pytest.approx(math.log(2))


def test_factors_and_sizes_that_round_to_0_and_1_have_a_slope() -> None:
    z = torch.tensor([[-200.0, 200.0, 0.5]], requires_grad=True)
    indecision(z.sigmoid()).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert z.grad[0, 2] < 0
    logits = torch.tensor([[0.0, 300.0], [0.0, 300.0]], requires_grad=True)
    imbalance(logits.softmax(1)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
