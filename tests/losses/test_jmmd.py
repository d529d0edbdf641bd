"""The joint maximum mean discrepancy against its sums over pairs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clusterkit.losses.jmmd import SCALES, SOFTMAX_WIDTH, distances_between, domain_weights, jmmd

CPU = torch.device("cpu")


def random_case(source: int, target: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(source + target, 5, generator=generator, dtype=torch.float64)
    features[source:] += 0.5
    return features, torch.randn(source + target, 3, generator=generator, dtype=torch.float64).softmax(1)


def pair_by_pair(features: Tensor, prob: Tensor, source: int) -> Tensor:
    count, constant = len(features), features.detach()
    mean = sum(float((constant[i] - constant[j]).square().sum()) for i in range(count) for j in range(count)) / count**2

    def kernel(i: int, j: int) -> Tensor:
        distance, between = (features[i] - features[j]).square().sum(), (prob[i] - prob[j]).square().sum()
        on_features = sum((torch.exp(-distance / (2 * scale * mean)) for scale in SCALES), torch.zeros(()))
        return on_features * torch.exp(-between / (2 * SOFTMAX_WIDTH**2))

    inside, outside = range(source), range(source, count)
    total = torch.zeros((), dtype=torch.float64)
    for rows, columns, sign in ((inside, inside, 1), (outside, outside, 1), (inside, outside, -2)):
        part = torch.stack([kernel(i, j) for i in rows for j in columns])
        total = total + sign * part.mean()
    return total


def weights(source: int, target: int) -> Tensor:
    return domain_weights(source, target, (source, target), CPU).double()


@pytest.mark.parametrize(("source", "target"), [(4, 7), (5, 5), (1, 3)])
def test_it_is_the_mean_within_either_less_twice_that_across(source: int, target: int) -> None:
    features, prob = random_case(source, target, source)
    found = []
    for value in (
        lambda f, p: jmmd(f, p, weights(source, target)),
        lambda f, p: pair_by_pair(f, p, source),
    ):
        f, p = features.clone().requires_grad_(), prob.clone().requires_grad_()
        result = value(f, p)
        result.backward()
        found.append((result.detach(), f.grad, p.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-7)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_it_is_never_negative_and_the_same_from_either_side(source: int, target: int, seed: int) -> None:
    features, prob = random_case(source, target, seed)
    value = float(jmmd(features, prob, weights(source, target)))
    assert value >= -1e-12
    turned = torch.cat([torch.arange(source, source + target), torch.arange(source)])
    assert math.isclose(value, float(jmmd(features[turned], prob[turned], weights(target, source))), abs_tol=1e-12)


def test_equal_samples_have_none_and_far_ones_more() -> None:
    features, prob = random_case(6, 6, 0)
    same = jmmd(features[:6].repeat(2, 1), prob[:6].repeat(2, 1), weights(6, 6))
    assert abs(float(same)) < 1e-12
    near, far = (jmmd(features + shift * (weights(6, 6) < 0)[:, None], prob, weights(6, 6)) for shift in (0.5, 4))
    assert float(far) > float(near) > 0


def test_constant_items_are_no_division_by_zero() -> None:
    value = jmmd(torch.ones(4, 3), torch.ones(4, 2) / 2, domain_weights(2, 2, (2, 2), CPU))
    assert float(value) == pytest.approx(0, abs=1e-6)


def test_distances() -> None:
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(distances_between(x, y), torch.cdist(x, y).square())
