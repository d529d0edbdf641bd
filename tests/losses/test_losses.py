from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clusterkit.losses import Loss, blocks, pair_loss
from clusterkit.losses.ccl import EPSILON

Reference = Callable[[Tensor, Tensor, float], Tensor]


def known_of(row: Tensor) -> list[int]:
    return [j for j, value in enumerate(row.tolist()) if value == value]


def kcl_pair_by_pair(logits: Tensor, similar: Tensor, sigma: float) -> Tensor:
    p = logits.softmax(1)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(p)):
        for j in known_of(similar[i]):
            left, right = p[i].detach(), p[j]
            divergence = sum((left[k] * (left[k] / right[k]).log() for k in range(p.shape[1])), torch.zeros(()))
            hinge = torch.clamp(sigma - divergence, min=0)
            total = total + similar[i, j] * divergence + (1 - similar[i, j]) * hinge
    return total / len(p) ** 2


def ccl_pair_by_pair(logits: Tensor, similar: Tensor, sigma: float) -> Tensor:
    p = logits.softmax(1)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(p)):
        for j in known_of(similar[i]):
            together = sum((p[i, k] * p[j, k] for k in range(p.shape[1])), torch.zeros(()))
            likely, unlikely = together + EPSILON, 1 - together + EPSILON
            total = total - similar[i, j] * likely.log() - (1 - similar[i, j]) * unlikely.log()
    return total / len(p) ** 2


REFERENCES: dict[Loss, Reference] = {Loss.KCL: kcl_pair_by_pair, Loss.CCL: ccl_pair_by_pair}


def random_case(size: int, k: int, spread: float, soft: bool, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(size, k, generator=generator, dtype=torch.float64)
    similar = torch.rand(size, size, generator=generator, dtype=torch.float64)
    return logits, similar if soft else similar.round()


def value_and_gradient(loss: Reference, logits: Tensor, similar: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, similar, sigma)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("size", "k", "spread"), [(7, 5, 1.0), (6, 2, 3.0), (5, 20, 0.3)])
def test_value_and_gradient_are_those_of_all_ordered_pairs(
    name: Loss, soft: bool, size: int, k: int, spread: float
) -> None:
    logits, similar = random_case(size, k, spread, soft, seed=size)
    expected, gradient = value_and_gradient(REFERENCES[name], logits, similar, 2.0)
    value, found = value_and_gradient(pair_loss(name), logits.float(), similar.float(), 2.0)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.double(), gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("soft", [False, True])
def test_unknown_pairs_add_nothing(name: Loss, soft: bool) -> None:
    logits, similar = random_case(7, 4, 1.0, soft, seed=1)
    unknown = torch.rand(7, 7, generator=torch.Generator().manual_seed(2)) < 0.2
    similar = similar.masked_fill(unknown | unknown.T, torch.nan)
    expected, gradient = value_and_gradient(REFERENCES[name], logits, similar, 2.0)
    value, found = value_and_gradient(pair_loss(name), logits.float(), similar.float(), 2.0)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.double(), gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("unknown", [False, True])
def test_the_weight_of_a_pair_multiplies_its_terms(name: Loss, unknown: bool) -> None:
    logits, similar = random_case(7, 4, 1.0, True, seed=4)
    weight = 3 * torch.rand(7, 7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    weight = weight + weight.T
    if unknown:
        similar = similar.masked_fill(weight > 4, torch.nan)

    def by_pairs(logits: Tensor, similar: Tensor, sigma: float) -> Tensor:
        """Each pair alone is known, and all others are not."""
        total = logits.new_zeros(())
        for i in range(7):
            for j in range(7):
                one = torch.full((7, 7), torch.nan, dtype=torch.float64)
                one[i, j] = similar[i, j]
                total = total + weight[i, j] * REFERENCES[name](logits, one, sigma)
        return total

    expected, gradient = value_and_gradient(by_pairs, logits, similar, 2.0)
    weighted = lambda *values: pair_loss(name)(*values, weight.float())  # noqa: E731
    value, found = value_and_gradient(weighted, logits.float(), similar.float(), 2.0)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.double(), gradient, rtol=1e-4, atol=1e-6)
    assert torch.equal(pair_loss(name)(logits, similar, 2.0, torch.ones(7, 7)), pair_loss(name)(logits, similar, 2.0))


@pytest.mark.parametrize("sigma", [0.0, 0.5, 4.0])
def test_the_margin_of_kcl(sigma: float) -> None:
    logits, similar = random_case(6, 4, 1.5, True, seed=3)
    expected = kcl_pair_by_pair(logits, similar, sigma)
    value = pair_loss(Loss.KCL)(logits.float(), similar.float(), sigma)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)


@given(st.permutations(range(6)), st.sampled_from(list(Loss)), st.integers(0, 1000))
def test_the_order_of_the_batch_does_not_matter(order: list[int], name: Loss, seed: int) -> None:
    logits, similar = (x.float() for x in random_case(6, 4, 1.0, True, seed))
    place = torch.tensor(order)
    whole = pair_loss(name)(logits, similar, 2.0)
    torch.testing.assert_close(pair_loss(name)(logits[place], similar[place][:, place], 2.0), whole)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("similar", [0.0, 0.5, 1.0])
def test_certain_assignments_keep_value_and_gradient_finite(name: Loss, similar: float) -> None:
    certain = torch.full((6, 4), -1e4)
    certain[torch.arange(6), torch.tensor([0, 0, 1, 2, 3, 3])] = 1e4
    identical = torch.tensor([[1.0, 2.0, 3.0, 40.0]]).expand(6, 4)
    for logits in (certain, identical, torch.zeros(6, 4)):
        value, gradient = value_and_gradient(pair_loss(name), logits, torch.full((6, 6), similar), 2.0)
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", Loss)
def test_the_perfect_clustering_costs_nothing_and_the_worst_much(name: Loss) -> None:
    labels = torch.tensor([0, 0, 1, 2, 2])
    similar = (labels[:, None] == labels[None]).float()
    logits = 30 * torch.eye(3)[labels]
    assert pair_loss(name)(logits, similar, 2.0) < 1e-5
    assert pair_loss(name)(logits, 1 - similar, 2.0) > 1


def test_ccl_sees_no_margin() -> None:
    logits, similar = (x.float() for x in random_case(5, 3, 1.0, False, seed=1))
    assert pair_loss(Loss.CCL)(logits, similar, 0.1) == pair_loss(Loss.CCL)(logits, similar, 5.0)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("elements", [1, 20, 34])
def test_blocks_of_any_size_give_the_same(name: Loss, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, similar = (x.float() for x in random_case(10, 4, 1.0, True, seed=2))
    expected = value_and_gradient(pair_loss(name), logits, similar, 2.0)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    found = value_and_gradient(pair_loss(name), logits, similar, 2.0)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.bfloat16])
def test_pairs_may_be_held_in_a_small_type(name: Loss, kind: torch.dtype) -> None:
    logits, similar = (x.float() for x in random_case(8, 4, 1.0, False, seed=4))
    assert torch.equal(pair_loss(name)(logits, similar.to(kind), 2.0), pair_loss(name)(logits, similar, 2.0))


@pytest.mark.parametrize("name", Loss)
def test_logits_in_bfloat16_are_worked_on_in_float32(name: Loss) -> None:
    logits, similar = (x.float() for x in random_case(8, 4, 2.0, True, seed=5))
    half = logits.bfloat16()
    value, gradient = value_and_gradient(pair_loss(name), half, similar, 2.0)
    expected, exact = value_and_gradient(REFERENCES[name], half.double(), similar.double(), 2.0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), exact, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", Loss)
@pytest.mark.parametrize("similar", [0.0, 0.5, 1.0])
def test_probabilities_of_exactly_0_and_1_keep_value_and_gradient_finite(name: Loss, similar: float) -> None:
    logits = torch.full((4, 3), -3e38)
    logits[torch.arange(4), torch.tensor([0, 0, 1, 2])] = 3e38
    value, gradient = value_and_gradient(pair_loss(name), logits, torch.full((4, 4), similar), 2.0)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_ccl_does_not_push_where_rounding_passes_one() -> None:
    """Items that are surely in one cluster and said to be dissimilar: the gradient of the formula as it is written."""
    generator = torch.Generator().manual_seed(0)
    logits = 12 * torch.eye(5)[torch.randint(5, (64,), generator=generator)] + torch.rand(64, 5, generator=generator)
    similar = torch.rand(64, 64, generator=generator).round()
    similar = torch.minimum(similar, similar.T)

    def as_written(logits: Tensor, similar: Tensor, sigma: float) -> Tensor:
        p = logits.softmax(1)
        together = p @ p.T
        apart = (1 - together).clamp_min(0)
        return -(similar * (together + EPSILON).log() + (1 - similar) * (apart + EPSILON).log()).mean()

    _, expected = value_and_gradient(as_written, logits, similar, 0)
    _, found = value_and_gradient(pair_loss(Loss.CCL), logits, similar, 0)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
