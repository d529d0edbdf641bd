"""Run as a program by test_pair_kernels.py: what the kernels of a GPU compute, as Triton's interpreter computes it."""

from unittest.mock import patch

import torch
from torch import Tensor

from clusterkit.networks import pair_kernels, pair_logits
from clusterkit.pairs import tiles
from clusterkit.pairs.factored import FactoredPairs

CASES = [(5, 7, 3), (40, 33, 20), (70, 130, 65), (1, 1, 1)]


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected.detach(), rtol=1e-4, atol=1e-4)


def check_logits_and_gradients(rows: int, columns: int, hidden: int) -> None:
    exact = [x.requires_grad_() for x in (drawn(rows, hidden), drawn(columns, hidden), drawn(hidden), drawn())]
    u, v, weight, bias = exact
    inputs = [x.detach().float().requires_grad_() for x in exact]
    outer = drawn(rows, columns)
    expected = ((u[:, None] + v).clamp_min(0) * weight).sum(2) + bias
    (expected * outer).sum().backward()
    found = pair_logits.pair_logits(inputs[0], inputs[1], inputs[2], inputs[3])
    (found * outer.float()).sum().backward()
    near(found, expected)
    for fast, slow in zip(inputs, exact, strict=True):
        assert fast.grad is not None
        assert slow.grad is not None
        near(fast.grad, slow.grad)


def check_unknown() -> None:
    u, v, weight = drawn(3, 5).float(), drawn(4, 5).float(), drawn(5).float()
    u[1, 2] = torch.nan
    found = pair_logits.pair_logits(u, v, weight, torch.zeros(()))
    assert found[1].isnan().all()
    assert int(found.isnan().sum()) == 4


def check_strips(count: int, hidden: int) -> None:
    weight = drawn(hidden)
    weight[0] = 0
    exact = FactoredPairs(drawn(count, hidden), drawn(count, hidden), weight, drawn())
    both = (exact.u[:, None] + exact.v).clamp_min(0) @ exact.weight + exact.bias
    pairs = FactoredPairs(exact.u.float(), exact.v.float(), exact.weight.float(), exact.bias.float())
    logits = tiles.mean_logits(pair_kernels, pairs)
    for strip in tiles.strips(list(tiles.places(count))):
        rows, columns = strip[0][0], slice(strip[0][1].start, strip[-1][1].stop)
        found = logits(rows, columns)
        near(found, ((both + both.T) / 2)[rows, columns])
        for _, part in strip:
            alone = slice(part.start - columns.start, part.stop - columns.start)
            assert torch.equal(logits(rows, part), found[:, alone])


if __name__ == "__main__":
    torch.manual_seed(0)
    tiles.SIZE = pair_kernels.SIDE
    with patch.object(pair_logits, "kernels_for", lambda *factors: pair_kernels):
        for case in CASES:
            check_logits_and_gradients(*case)
        check_unknown()
    for count, hidden in [(5, 3), (64, 7), (200, 20)]:
        check_strips(count, hidden)
