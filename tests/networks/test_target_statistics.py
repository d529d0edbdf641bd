import copy

import pytest
import torch
from torch import Tensor, nn

from clusterkit.config import Backbone
from clusterkit.networks.backbones import build_backbone
from clusterkit.networks.target_statistics import set_target_statistics

CASES = {
    "conv4": (Backbone.CONV4, (1, 16, 16), 10),
    "lenet": (Backbone.LENET, (1, 16, 16), 10),
    "mlp": (Backbone.MLP, (7,), 10),
    "preactresnet18": (Backbone.PREACTRESNET18, (1, 8, 8), 8),
}


def norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


def one_training_pass(network: nn.Module, items: Tensor) -> tuple[nn.Module, Tensor]:
    """The plain float64 forward pass of all items as one batch; its statistics, and what comes out."""
    network = copy.deepcopy(network).double().train()
    for norm in norms(network):
        norm.momentum = 1.0
    with torch.no_grad():
        return network, network(items.double())


@pytest.mark.parametrize("name", CASES)
def test_any_block_size_gives_the_statistics_of_one_batch(name: str) -> None:
    torch.manual_seed(0)
    backbone, shape, count = CASES[name]
    network = build_backbone(backbone, shape)
    items = 3 * torch.rand(count, *shape) + 1
    trained, expected = one_training_pass(network, items)
    for size in (1, 3, count - 1, count):
        found = copy.deepcopy(network)
        set_target_statistics(found, found, lambda size=size: iter(items.split(size)))
        assert not found.training
        for norm in norms(found):
            assert not norm._forward_pre_hooks
        with torch.no_grad():
            out = torch.cat([found(block) for block in items.split(4)])
        torch.testing.assert_close(out.double(), expected, rtol=1e-3, atol=1e-3)
        for norm, reference in zip(norms(found), norms(trained), strict=True):
            torch.testing.assert_close(norm.running_mean.double(), reference.running_mean, rtol=1e-4, atol=1e-4)


class Crossed(nn.Module):
    """Two normalisations that run in the opposite order of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.BatchNorm1d(4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


def test_layers_are_taken_in_the_order_they_run() -> None:
    items = 5 * torch.randn(9, 4, generator=torch.Generator().manual_seed(0)) + 2
    network = Crossed()
    _, expected = one_training_pass(network, items)
    set_target_statistics(network, network, lambda: iter(items.split(2)))
    torch.testing.assert_close(network(items).double(), expected, rtol=1e-3, atol=1e-4)


def test_the_variance_is_the_biased_one() -> None:
    network = nn.Sequential(nn.BatchNorm1d(3))
    items = torch.randn(4, 3)
    for size in (2, 4):
        set_target_statistics(network, network, lambda size=size: iter(items.split(size)))
        torch.testing.assert_close(network[0].running_var, items.var(0, correction=0))


def test_parameters_stay_as_they_are() -> None:
    torch.manual_seed(0)
    network = build_backbone(Backbone.MLP, (7,))
    before = {name: value.clone() for name, value in network.named_parameters()}
    set_target_statistics(network, network, lambda: iter(torch.rand(6, 7).split(2)))
    assert all(torch.equal(before[name], value) for name, value in network.named_parameters())
