import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from clusterkit.networks.pair_head import PairHead, grid_statistics

D, H = 6, 9


class Enumerated(nn.Module):
    """The head as published: concatenate all B^2 pairs, then linear, batch normalisation, ReLU, linear."""

    def __init__(self, head: PairHead) -> None:
        super().__init__()
        self.first = nn.Linear(2 * D, H, bias=False)
        self.norm = nn.BatchNorm1d(H)
        self.out = nn.Linear(H, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.cat([head.left, head.right], 1))
            self.norm.weight.copy_(head.scale)
            self.norm.bias.copy_(head.shift)
            self.norm.running_mean.copy_(head.running_mean)
            self.norm.running_var.copy_(head.running_var)
        self.out.load_state_dict(head.out.state_dict())
        self.double()

    def forward(self, features: Tensor) -> Tensor:
        pairs = torch.stack([torch.cat([a, b]) for a in features for b in features])
        return self.out(self.norm(self.first(pairs)).relu()).reshape(len(features), -1)


def random_head(seed: int) -> PairHead:
    torch.manual_seed(seed)
    head = PairHead(D, H)
    with torch.no_grad():
        for tensor in (head.scale, head.shift, head.running_mean):
            tensor.normal_()
        head.running_var.uniform_(0.5, 2)
    return head


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [2, 11])
def test_logits_and_all_gradients_are_those_of_the_enumerated_pairs(training: bool, size: int) -> None:
    head = random_head(size).train(training)
    slow = Enumerated(head).train(training)
    features = torch.randn(size, D, requires_grad=True)
    exact = features.detach().double().requires_grad_()
    weights = torch.randn(size, size, dtype=torch.float64)
    found, expected = head(features), slow(exact)
    (found * weights.float()).sum().backward()
    (expected * weights).sum().backward()
    pairs = [
        (found, expected),
        (features.grad, exact.grad),
        (head.left.grad, slow.first.weight.grad[:, :D]),
        (head.right.grad, slow.first.weight.grad[:, D:]),
        (head.scale.grad, slow.norm.weight.grad),
        (head.shift.grad, slow.norm.bias.grad),
        (head.out.weight.grad, slow.out.weight.grad),
        (head.out.bias.grad, slow.out.bias.grad),
    ]
    for fast, reference in pairs:
        torch.testing.assert_close(fast.double(), reference, rtol=1e-3, atol=1e-4)


def test_running_statistics_are_those_of_batch_normalisation() -> None:
    head = random_head(0).train()
    slow = Enumerated(head).train()
    for size in (5, 3, 8, 2, 12):
        features = 2 * torch.randn(size, D) + 1
        head(features)
        slow(features.double())
    torch.testing.assert_close(head.running_mean.double(), slow.norm.running_mean)
    torch.testing.assert_close(head.running_var.double(), slow.norm.running_var)
    kept = head.running_mean.clone()
    head.eval()(torch.randn(5, D))
    head.factors(torch.randn(5, D), batch_statistics=True)
    assert torch.equal(head.running_mean, kept), "eval mode changes nothing"


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
def test_statistics_of_the_grid_are_those_of_all_pairs(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    u, v = (10 * torch.randn(n, 3, generator=generator, dtype=torch.float64) + 5 for n in (rows, columns))
    pairs = torch.stack([a + b for a in u for b in v])
    mean, variance = grid_statistics(u, v)
    torch.testing.assert_close(mean, pairs.mean(0))
    torch.testing.assert_close(variance, ((pairs - pairs.mean(0)) ** 2).mean(0))


def test_the_first_layer_starts_as_one_linear_layer_on_both_features() -> None:
    torch.manual_seed(0)
    head = PairHead(D, H)
    torch.manual_seed(0)
    joint = nn.Linear(2 * D, H, bias=False).weight
    assert torch.equal(torch.cat([head.left, head.right], 1), joint)


@pytest.mark.parametrize("training", [True, False])
def test_an_ensemble_is_its_members_heads_side_by_side(training: bool) -> None:
    torch.manual_seed(3)
    head = PairHead(3 * D, H, members=3).double().train(training)
    with torch.no_grad():
        for tensor in (head.scale, head.shift, head.running_mean):
            tensor.normal_()
    features = torch.randn(7, 3 * D, dtype=torch.float64)
    every = []
    for number, part in enumerate(features.chunk(3, 1)):
        one = PairHead(D, H).double().train(training)
        units = slice(number * H, (number + 1) * H)
        with torch.no_grad():
            for name in ("left", "right", "scale", "shift", "running_mean", "running_var"):
                getattr(one, name).copy_(getattr(head, name)[units])
            one.out.weight.copy_(head.out.weight[:, units])
            one.out.bias.copy_(head.out.bias)
        every.append(one(part))
    torch.testing.assert_close(head.by_member(features), torch.stack(every))
    torch.testing.assert_close(head(features), torch.stack(every).mean(0))
