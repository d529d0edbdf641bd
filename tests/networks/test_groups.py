"""Groups of layers of a backbone, and a training of the last ones only."""

import pytest
import torch
from torch import nn

from clusterkit.config import Backbone
from clusterkit.networks.backbones import OF_VECTORS, BackboneLayers, Ensemble, build_backbone
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.groups import groups_of

COUNTS = {
    Backbone.CONV4: 4, Backbone.CONV4_FINE: 4, Backbone.VGGS: 4, Backbone.SPN: 6, Backbone.LENET: 3, Backbone.DTN: 3,
    Backbone.VGG8: 5, Backbone.VGG11: 5, Backbone.VGG16: 5, Backbone.PREACTRESNET18: 4, Backbone.PREACTRESNET101: 4,
    Backbone.RESNET18: 5, Backbone.RESNET34: 5, Backbone.RESNET50: 5, Backbone.VGG_FAST: 4,
    Backbone.MLP: 2, Backbone.IDENTITY: 0, Backbone.DEC: 4,
}  # fmt: skip


@pytest.mark.parametrize("name", Backbone)
def test_every_layer_with_weights_is_in_one_group(name: Backbone) -> None:
    with torch.device("cpu" if name in OF_VECTORS else "meta"):
        backbone = build_backbone(name, (3, 64, 64))
    groups = groups_of(backbone)
    assert len(groups) == COUNTS[name]
    found = [weight for group in groups for layer in group for weight in layer.parameters()]
    assert [id(weight) for weight in found] == [id(weight) for weight in backbone.parameters()]
    assert all(any(isinstance(part, nn.Conv2d | nn.Linear) for layer in group for part in layer.modules())
               for group in groups)  # fmt: skip


def test_groups_are_what_lies_between_poolings() -> None:
    with torch.device("meta"):
        vgg16, resnet, preact = (
            build_backbone(name, (3, 32, 32)) for name in (Backbone.VGG16, Backbone.RESNET18, Backbone.PREACTRESNET18)
        )
    widths = [[layer.out_channels for layer in group if isinstance(layer, nn.Conv2d)] for group in groups_of(vgg16)]
    assert widths == [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]
    network = resnet[0]
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    assert [group[0] for group in groups_of(resnet)] == [network.conv1, *stages]
    # Each stage has two blocks; the first has the stem before them, and the last the end of the network after them.
    assert [[type(layer).__name__ for layer in group].count("_PreActBlock") for group in groups_of(preact)] == [2] * 4
    assert groups_of(preact)[1][0] is preact[3]


def test_a_group_may_be_a_block_that_pools_inside() -> None:
    def block(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3), nn.MaxPool2d(2), nn.GELU(), nn.Conv2d(outputs, outputs, 3))

    first, second = block(8, 16), block(16, 16)
    start, end = [nn.Conv2d(3, 8, 2), nn.GELU()], nn.Flatten()
    assert groups_of(BackboneLayers(16, *start, first, second, end)) == [start, [first], [second, end]]


def test_the_groups_of_an_ensemble_hold_those_of_its_members() -> None:
    members = [build_backbone(Backbone.LENET, (1, 16, 16)) for _ in range(2)]
    both = groups_of(Ensemble(members))
    assert both == [[*a, *b] for a, b in zip(*map(groups_of, members), strict=True)]


def test_only_the_last_groups_are_trained() -> None:
    torch.manual_seed(0)
    network = ClusterNet(Architecture(Backbone.VGG11, (3, 32, 32), (0.5,) * 3, (0.25,) * 3, 8, outputs=4))
    network.train_last(2)
    frozen, free = groups_of(network.backbone)[:3], groups_of(network.backbone)[3:]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], 0.1)
    x = torch.rand(6, 3, 32, 32)
    as_used = network.eval().backbone[:7](x)
    network.train()
    assert torch.equal(network.backbone[:7](x), as_used), "normalised by the stored statistics"
    network(x).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    fixed = set()
    for title, layer in network.named_modules():
        if any(layer is each for group in frozen for each in group):
            fixed |= {f"{title}.{name}" for name in layer.state_dict()}
    assert len(fixed) == 4 * 6, "four convolutions, each with the six tensors of its normalisation"
    assert changed == before.keys() - fixed
    assert all(layer.training for group in free for layer in group)
    assert not network.eval().training


def test_more_groups_than_there_are_cannot_be_trained() -> None:
    network = ClusterNet(Architecture(Backbone.MLP, (4,), (0.0,) * 4, (1.0,) * 4, 8, outputs=2))
    network.train_last(2)
    assert not network.frozen
    with pytest.raises(ValueError, match="the backbone has 2 groups of layers"):
        network.train_last(3)
