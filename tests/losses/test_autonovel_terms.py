import pytest
import torch
from torch import Tensor

from clusterkit.losses import blocks
from clusterkit.losses.autonovel import EPSILON, inconsistency, largest, pair_entropy, same_sets


def features(size: int, width: int, seed: int) -> Tensor:
    return torch.randn(size, width, generator=torch.Generator().manual_seed(seed)).relu()


@pytest.mark.parametrize("count", [1, 3, 5])
def test_pairs_are_similar_if_their_sets_of_largest_features_are_equal(count: int) -> None:
    left, right = features(40, 7, 1), features(30, 7, 2)

    def sets(values: Tensor) -> list[set[int]]:
        # Python's sort keeps the order of equal values.
        return [set(sorted(range(7), key=lambda place: -row[place])[:count]) for row in values.tolist()]

    expected = [[a == b for b in sets(right)] for a in sets(left)]
    found = same_sets(largest(left, count), largest(right, count))
    assert found.tolist() == expected
    assert found.any()
    assert not found.all()


def test_the_order_within_a_set_does_not_matter_and_no_two_sets_are_confused() -> None:
    swapped = torch.tensor([[9.0, 8, 7, 0, 0, 0], [7, 9, 8, 0, 0, 0], [9, 8, 0, 7, 0, 0]])
    assert largest(swapped, 3).tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 3]]
    # Positions of which sums and products are the same, in more features than any hash in 64 bits has room for.
    wide = torch.zeros(2, 20_000)
    wide[0, [1, 6, 8]] = 1
    wide[1, [2, 3, 10]] = 1
    assert not same_sets(largest(wide, 3), largest(wide, 3))[0, 1]


def test_equal_features_count_in_their_order_and_stay_as_they_are() -> None:
    flat = torch.tensor([[0.0, 0, 0, 0], [0, 2, 0, 2]])
    assert largest(flat, 3).tolist() == [[0, 1, 2], [0, 1, 3]]
    assert flat.tolist() == [[0, 0, 0, 0], [0, 2, 0, 2]]


def by_pairs(first: Tensor, second: Tensor, similar: Tensor) -> Tensor:
    p, q = first.softmax(1), second.softmax(1)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(p)):
        for j in range(len(q)):
            together = sum((p[i, k] * q[j, k] for k in range(p.shape[1])), torch.zeros(()))
            total = total - ((together if similar[i, j] else 1 - together) + EPSILON).log()
    return total / len(q) ** 2


@pytest.mark.parametrize("elements", [blocks.BLOCK_ELEMENTS, 1, 13])
@pytest.mark.parametrize(("size", "k", "spread"), [(7, 5, 1.0), (6, 2, 3.0), (5, 20, 0.3)])
def test_value_and_gradients_are_those_of_all_ordered_pairs(
    size: int, k: int, spread: float, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", elements)
    generator = torch.Generator().manual_seed(size)
    logits = spread * torch.randn(2, size, k, generator=generator, dtype=torch.float64)
    similar = torch.rand(size, size, generator=generator) < 0.4
    exact, single = logits.clone().requires_grad_(), logits.float().requires_grad_()
    expected, value = by_pairs(*exact, similar), pair_entropy(*single, similar)
    (3 * expected).backward()
    (3 * value).backward()
    torch.testing.assert_close(value.detach().double(), expected.detach(), rtol=1e-5, atol=1e-6)
    assert single.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(single.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("similar", [False, True])
def test_certain_assignments_keep_value_and_gradient_finite(similar: bool) -> None:
    logits = torch.full((2, 4, 3), -3e38)
    logits[:, torch.arange(4), torch.tensor([0, 0, 1, 2])] = 3e38
    logits.requires_grad_()
    value = pair_entropy(*logits, torch.full((4, 4), similar))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_sure_assignments_have_the_gradient_of_exact_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 12 * torch.eye(5)[torch.randint(5, (64,), generator=generator)] + torch.rand(64, 5, generator=generator)
    similar = torch.rand(64, 64, generator=generator) < 0.5
    found, expected = logits.clone().requires_grad_(), logits.double().requires_grad_()
    pair_entropy(found, found, similar).backward()
    p = expected.softmax(1)
    (-(torch.where(similar, p @ p.T, 1 - p @ p.T) + EPSILON).log().mean()).backward()
    assert found.grad is not None
    assert expected.grad is not None
    assert expected.grad.abs().max() > 0.01
    torch.testing.assert_close(found.grad.double(), expected.grad, rtol=1e-3, atol=3e-5)


def test_the_difference_of_two_views_is_a_mean_over_the_outputs() -> None:
    first, second = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.4, 0.6]])
    assert inconsistency(first, second).tolist() == pytest.approx([0, 0.36])
