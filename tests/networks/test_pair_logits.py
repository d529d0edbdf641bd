import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clusterkit.networks import pair_logits as module
from clusterkit.networks.pair_logits import pair_logits


def one_by_one(u: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.stack([torch.stack([(a + b).clamp_min(0) @ weight + bias for b in v]) for a in u])


def case(rows: int, columns: int, hidden: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(rows, hidden), (columns, hidden), (hidden,), ()]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.integers(1, 100), st.integers(0, 1000))
def test_values_and_gradients_are_those_of_each_pair_whatever_the_blocks(
    rows: int, columns: int, hidden: int, block: int, seed: int
) -> None:
    exact = [x.requires_grad_() for x in case(rows, columns, hidden, seed)]
    inputs = [x.detach().float().requires_grad_() for x in exact]
    outer = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ELEMENTS", block)
        found = pair_logits(*inputs)
        (found * outer.float()).sum().backward()
    expected = one_by_one(*exact)
    (expected * outer).sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    for fast, slow in zip(inputs, exact, strict=True):
        assert fast.grad is not None
        torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=1e-4)


def test_rows_and_columns_may_be_empty() -> None:
    u, v, weight, bias = (x.float() for x in case(3, 4, 5, 0))
    assert pair_logits(u[:0], v, weight, bias).shape == (0, 4)
    assert pair_logits(u, v[:0], weight, bias).shape == (3, 0)


def test_large_factors_cancel_no_more_than_in_the_sum() -> None:
    u, v, weight, bias = case(6, 6, 64, 1)
    u, v = u + 100, v - 100
    found = pair_logits(u.float(), v.float(), weight.float(), bias.float())
    scale = float(v.abs().sum(1).max() * weight.abs().max())
    assert float((found.double() - one_by_one(u, v, weight, bias)).abs().max()) < 1e-5 * scale
