import pytest
import torch
from torch import Tensor, nn

from clusterkit.features.card import quiet
from clusterkit.features.tails import Tail, split


def of_timm(name: str) -> nn.Module:
    import timm

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = timm.create_model(name, num_classes=0).eval()
    # With their first values, normalisations hide a change of what they read.
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    return network


def pictures() -> Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "count", "shape"),
    [
        ("test_efficientnet", 1, (48, 10, 10)),
        ("test_vit", 3, (101, 64)),
        ("test_resnet", 2, (48, 20, 20)),
        ("test_convnext", 2, (32, 20, 20)),
    ],
)
def test_front_and_tail_are_the_network(name: str, count: int, shape: tuple[int, ...]) -> None:
    network = of_timm(name)
    front, tail = split(network, count)
    with torch.no_grad():
        maps = front(pictures())
        assert torch.equal(tail(maps), network(pictures()))
    assert maps.shape[1:] == shape
    assert not {id(value) for value in front.parameters()} & {id(value) for value in tail.parameters()}
    assert sum(len(list(part.parameters())) for part in (front, tail)) == len(list(network.parameters()))


def test_a_tail_that_is_trained_computes_as_in_evaluation() -> None:
    front, tail = split(of_timm("test_efficientnet"), 1)
    maps = front(pictures()).detach()
    layers = Tail(256, tuple(maps.shape[1:]), tail)
    before = layers(maps.flatten(1))
    layers.train()(maps.flatten(1)).sum().backward()
    assert all(weight.grad is not None for weight in layers.parameters())
    assert torch.equal(layers.eval()(maps.flatten(1)), before)


@pytest.mark.parametrize(
    ("network", "count", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), 1, "has no blocks that can be trained; choose another model"),
        (nn.Sequential(nn.Linear(2, 2), nn.TransformerEncoderLayer(2, 1, 2)), 2, "has 1 block that can be trained"),
    ],
)
def test_networks_that_cannot_be_cut(network: nn.Module, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(network, count)


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(2, 1, 2) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.blocks[0](x)
        second: Tensor = self.blocks[1](first) + x
        return second if second.sum() > 0 else first


class Reused(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        second: Tensor = self.blocks[1](self.blocks[0](x)) + x
        return second


class Listed(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.blocks[0]([x, x])
        return first


def test_blocks_beside_which_another_value_passes() -> None:
    for network in (Reused(), Listed()):
        with pytest.raises(ValueError, match="has blocks that read more than one value"):
            split(network, 1)
    with pytest.raises(ValueError, match="has no blocks that can be trained alone"):
        split(Skipping(), 1)
