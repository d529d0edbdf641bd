"""Run as a program by test_pair_kernels.py: what the kernels of a GPU compute, as Triton's interpreter computes it."""

from contextlib import nullcontext
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


def exact_pairs(count: int, hidden: int) -> tuple[FactoredPairs, Tensor, FactoredPairs]:
    """Random pairs, their symmetric logits (N, N), and the same pairs in float32."""
    u, v, weight, bias = drawn(count, hidden), drawn(count, hidden), drawn(hidden), drawn()
    weight[0] = 0
    both = (u[:, None] + v).clamp_min(0) @ weight + bias
    pairs = FactoredPairs(u, v, weight, bias)
    return pairs, (both + both.T) / 2, FactoredPairs(u.float(), v.float(), weight.float(), bias.float())


def check_strips(count: int, hidden: int) -> None:
    _, expected, pairs = exact_pairs(count, hidden)
    logits = tiles.mean_logits(pair_kernels, pairs)
    for strip in tiles.strips(list(tiles.places(count))):
        rows, columns = strip[0][0], slice(strip[0][1].start, strip[-1][1].stop)
        found = logits(rows, columns)
        near(found, expected[rows, columns])
        for _, part in strip:
            alone = logits(rows, part)
            assert torch.equal(alone, found[:, part.start - columns.start : part.stop - columns.start])
            if part == rows:
                assert torch.equal(alone, alone.T)


def check_rounding() -> None:
    """Few units are active, so large numbers cancel."""
    pairs, _, _ = exact_pairs(20, 300)
    u = pairs.u - 3
    both = (u[:, None] + pairs.v).clamp_min(0) @ pairs.weight + pairs.bias
    fine = FactoredPairs(*(x.float() for x in (u, pairs.v, pairs.weight, pairs.bias)))
    every = slice(0, 20)
    found = tiles.mean_logits(pair_kernels, fine)(every, every)
    error = (found.double() - (both + both.T) / 2).abs().max()
    assert error < 1e-4, error


class Stream:
    def __init__(self, device: torch.device) -> None:
        pass

    def synchronize(self) -> None:
        pass


def check_tiles(count: int) -> None:
    _, expected, pairs = exact_pairs(count, 5)
    selection = list(tiles.places(count))
    with (
        patch.object(tiles, "kernels_for", lambda *factors: pair_kernels),
        patch.object(tiles, "_to_cpu", Tensor.clone),
        patch.object(tiles, "WIDE", 2),
        patch.object(tiles, "STREAMS", 1),  # the interpreter knows one thread only
        patch.object(torch.cuda, "synchronize", lambda device: None),
        patch.object(torch.cuda, "Stream", Stream),
        patch.object(torch.cuda, "stream", lambda stream: nullcontext()),
    ):
        found = list(tiles.tiles(pairs, selection, Tensor.half))
        assert [place for place, _ in found] == selection
        for (rows, columns), logits in found:
            torch.testing.assert_close(logits, expected[rows, columns].half(), rtol=1e-2, atol=1e-2)
        for _ in tiles.tiles(pairs, selection):
            break


if __name__ == "__main__":
    torch.manual_seed(0)
    tiles.SIZE = pair_kernels.SIDE
    with patch.object(pair_logits, "kernels_for", lambda *factors: pair_kernels):
        for case in CASES:
            check_logits_and_gradients(*case)
        check_unknown()
    for count, hidden in [(5, 3), (64, 7), (200, 20)]:
        check_strips(count, hidden)
    check_rounding()
    check_tiles(200)
    pair_logits._check(pair_kernels, torch.device("cpu"))
