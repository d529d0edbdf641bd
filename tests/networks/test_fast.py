"""vgg-fast: its whitened first layer, how it starts, and that every training of a new network whitens it."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.augment import to_float
from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.networks import fast
from clusterkit.networks.backbones import build_backbone, members_of
from clusterkit.networks.build import ClusterNet, SimilarityNet
from clusterkit.networks.new import untrained
from clusterkit.networks.read import read_cluster_nets, read_g

SHAPE = (3, 32, 32)


def photos(count: int = 60, channels: int = 3, seed: int = 0) -> Subset:
    """Smooth images whose channels go together, as those of photos do, in the order of their brightness."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.randn(count, 1, 34, 34, generator=generator) + torch.linspace(-1, 1, count)[:, None, None, None]
    x = torch.nn.functional.avg_pool2d(grey, 3, 1) + 0.2 * torch.randn(count, channels, 32, 32, generator=generator)
    images = (90 + 60 * x).clamp(0, 255).to(torch.uint8)
    return Subset("all", images, torch.arange(count), None)


def network_of(items: Subset, seed: int = 0, members: int = 1) -> SimilarityNet:
    return untrained(SimilarityNet, Backbone.VGG_FAST, items, seed, hidden=8, members=members)


@pytest.mark.parametrize("channels", [1, 3])
def test_its_first_layer_whitens_the_patches_of_the_set(channels: int) -> None:
    items = photos(channels=channels)
    network = network_of(items)
    out = network.backbone[0](network.standardise(to_float(items.images))).transpose(0, 1).flatten(1).double()
    half = 4 * channels
    assert len(out) == 2 * half
    assert torch.equal(out[half:], -out[:half])
    covariance = torch.cov(out[:half])
    # Directions of little variance are scaled up less, by what is added to it.
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 1e-3
    assert covariance.diag().max() < 1.001
    assert covariance.diag().min() > 0.95


def test_it_whitens_by_random_images_that_the_seed_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "IMAGES", 20)
    items = photos()

    def filters(items: Subset, seed: int) -> torch.Tensor:
        layers = torch.nn.Sequential(fast.Whitening(3))
        fast.whiten(layers, torch.nn.Identity(), items, seed)
        return layers[0].weight

    assert torch.equal(filters(items, 0), filters(items, 0))
    assert not torch.equal(filters(items, 0), filters(items, 1))
    assert not torch.equal(filters(items, 0), filters(items.take(torch.arange(20)), 0))


def test_members_of_an_ensemble_are_all_whitened() -> None:
    first, second = members_of(network_of(photos(), members=2).backbone)
    assert first[0].weight.isfinite().all()
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[2][0].weight, second[2][0].weight)


def test_the_same_seed_gives_the_same_network() -> None:
    states = [network_of(photos(), seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["backbone.2.0.weight"], states[2]["backbone.2.0.weight"])


def test_its_convolutions_begin_with_their_inputs() -> None:
    for layer in build_backbone(Backbone.VGG_FAST, SHAPE).modules():
        if isinstance(layer, torch.nn.Conv2d) and not isinstance(layer, fast.Whitening):
            x = torch.rand(2, layer.in_channels, 5, 5)
            torch.testing.assert_close(layer(x)[:, : layer.in_channels], x)


def test_in_bfloat16_its_first_layer_is_exact() -> None:
    items = photos()
    network = network_of(items)
    x = network.standardise(to_float(items.images))
    exact = network.backbone[0](x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.backbone[0](x), exact)
        assert network.backbone[2](exact).dtype == torch.bfloat16


def test_without_whitening_its_features_are_no_numbers() -> None:
    assert build_backbone(Backbone.VGG_FAST, SHAPE)(torch.rand(2, *SHAPE)).isnan().all()


def test_its_statistics_are_those_of_the_target_in_one_batch() -> None:
    network, target = network_of(photos()), to_float(photos(9, seed=1).images)
    exact = copy.deepcopy(network).double().train()
    for module in exact.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        expected = exact.backbone(network.standardise(target).double())
    for size in (4, 9):
        network.take_statistics(lambda size=size: iter(target.split(size)))
        with torch.no_grad():
            torch.testing.assert_close(network.features(target).double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("pretrain SET --epochs 1", "pretrained"),
        ("train-g SET --epochs 1 --members 2 --hidden 8", "g"),
        ("cluster SET --pairs labels --k 2 --epochs 1", "ccn"),
        ("cluster SET --method supreme --source SET --init random --k 2 --epochs 1", "ccn"),
        ("adapt SET SET --method source-only --steps 2", "adapted"),
    ],
)
def test_every_training_of_a_new_network_whitens_it(line, name, cli, monkeypatch):
    monkeypatch.setattr(fast, "WIDTHS", (8, 8, 8))
    items = photos()
    np.savez("set.npz", x=items.images.numpy(), y=np.arange(60) % 2)
    done = cli(f"{line.replace('SET', 'arrays:set.npz')} --backbone vgg-fast")
    assert done.code == 0, done.err
    path = Path(f"clusterkit-out/{name}.safetensors")
    network = read_g(path)[1] if name == "g" else read_cluster_nets(path)[1]["all"]
    # All 60 images are read, whatever the seed.
    expected = untrained(ClusterNet, Backbone.VGG_FAST, items, 0, hidden=8).backbone[0].weight
    members = members_of(network.backbone)
    assert len(members) == (2 if name == "g" else 1)
    for member in members:
        torch.testing.assert_close(member[0].weight, expected)
