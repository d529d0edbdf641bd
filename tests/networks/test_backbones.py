from pathlib import Path

import pytest
import torch
import torchvision

from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.errors import InputError, UsageError
from clusterkit.networks.backbones import OF_VECTORS, build_backbone, load_pretrained, members_of, weights_statistics
from clusterkit.networks.build import Architecture, ClusterNet, SimilarityNet
from clusterkit.networks.fast import whiten
from clusterkit.networks.predict import limit_of


@pytest.mark.parametrize("name", Backbone)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_have_the_width_that_is_said(name: Backbone, channels: int) -> None:
    backbone = build_backbone(name, (channels, 32, 32))
    x = torch.rand(2, channels, 32, 32)
    whiten(backbone, torch.nn.Identity(), Subset("all", x, torch.arange(2), None), 0)
    with torch.no_grad():
        out = backbone(x)
    assert out.shape == (2, backbone.features)
    assert out.isfinite().all()
    assert backbone.training


def test_vectors_are_for_the_mlp() -> None:
    assert build_backbone(Backbone.MLP, (5,))(torch.rand(4, 5)).shape == (4, 256)
    for name in set(Backbone) - set(OF_VECTORS):
        with pytest.raises(UsageError, match=f"--backbone {name} takes images.*use --backbone mlp"):
            build_backbone(name, (5,))


@pytest.mark.parametrize("name", ["conv4", "conv4-fine", "vggs", "spn", "lenet", "vgg8", "vgg11", "vgg16", "vgg-fast"])
def test_images_that_are_too_small_are_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="8x8"):
        build_backbone(Backbone(name), (1, 8, 8))


def test_pretrained_weights_are_for_colour_resnets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lenet, resnet = (build_backbone(name, (3, 32, 32)) for name in (Backbone.LENET, Backbone.RESNET18))
    with pytest.raises(UsageError, match="no weights for --backbone lenet exist"):
        load_pretrained(lenet, Backbone.LENET, offline=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", _no_network)
    for offline, reason in ((False, "no network"), (True, "--offline is set")):
        with pytest.raises(InputError, match=f"{tmp_path}.*{reason}.*leave out --pretrained"):
            load_pretrained(resnet, Backbone.RESNET18, offline=offline)


def test_pretrained_weights_are_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = torchvision.models.resnet18()
    file = tmp_path / "hub" / "checkpoints" / torchvision.models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    torch.save(published.state_dict(), file)  # noqa: TID251 - the form in which the weights are published
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    backbone = build_backbone(Backbone.RESNET18, (3, 32, 32))
    load_pretrained(backbone, Backbone.RESNET18, offline=True)
    assert torch.equal(backbone[0].layer4[1].conv2.weight, published.layer4[1].conv2.weight)


def _no_network(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_vgg_has_the_convolutions_of_its_name() -> None:
    for name, count in ((Backbone.VGG8, 5), (Backbone.VGG11, 8), (Backbone.VGG16, 13)):
        layers = [type(layer).__name__ for layer in build_backbone(name, (3, 32, 32))]
        assert (layers.count("Conv2d"), layers.count("MaxPool2d")) == (count, 5)


@pytest.mark.parametrize("name", [Backbone.CONV4, Backbone.VGG8, Backbone.LENET])
def test_too_small_images_are_refused_in_plain_words(name: Backbone) -> None:
    words = f"^--backbone {name} cannot take images of 8x8; use larger images or another --backbone$"
    with pytest.raises(UsageError, match=words):
        build_backbone(name, (1, 8, 8))


def test_an_architecture_survives_its_header() -> None:
    architecture = Architecture(Backbone.LENET, (1, 32, 32), (0.1,), (0.3,), 16, outputs=7)
    assert Architecture.from_header(architecture.to_header()) == architecture
    x = torch.rand(3, 1, 32, 32)
    assert ClusterNet(architecture)(x).shape == (3, 7)
    assert SimilarityNet(architecture)(x).shape == (3, 3)


def test_items_are_standardised_by_the_numbers_of_the_training_set() -> None:
    mean, std = (0.25, 0.5, 0.0, 9.0), (2.0, 1.0, 4.0, 0.5)
    network = SimilarityNet(Architecture(Backbone.MLP, (4,), mean, std, 8)).eval()
    x = torch.rand(3, 4)
    assert torch.equal(network.features(x), network.backbone((x - torch.tensor(mean)) / torch.tensor(std)))
    network = SimilarityNet(Architecture(Backbone.LENET, (3, 28, 28), mean[:3], std[:3], 8)).eval()
    images = torch.rand(2, 3, 28, 28)
    channels = [(images[:, c] - mean[c]) / std[c] for c in range(3)]
    assert torch.equal(network.features(images), network.backbone(torch.stack(channels, 1)))
    assert not [name for name in network.state_dict() if name.startswith("standardise")]


def test_what_lies_far_off_is_cut_off_in_vectors() -> None:
    assert limit_of((3, 32, 32)) is None
    network = SimilarityNet(Architecture(Backbone.MLP, (2,), (0.0, 1.0), (1.0, 0.1), 8, limit=limit_of((2,)))).eval()
    x = torch.tensor([[9.0, 1.9], [11.0, 1.0], [-1e9, 2.5]])
    assert torch.equal(network.features(x), network.backbone(torch.tensor([[9.0, 9.0], [10.0, 0.0], [-10.0, 10.0]])))


def test_headers_of_version_1_have_one_number_for_all() -> None:
    fields = Architecture(Backbone.MLP, (4,), (0.25,) * 4, (2.0,) * 4, 8).to_header()
    older = {name: value for name, value in fields.items() if name not in ("limit", "members")}
    assert Architecture.from_header({**older, "mean": 0.25, "std": 2.0}) == Architecture.from_header(fields)
    for name, wrong in (
        *(("mean", wrong) for wrong in ([0.25] * 3, [], "none", None)),
        *(("limit", wrong) for wrong in ("none", [1.0], -1.0, 0, float("nan"))),
        ("shape", []),
    ):
        with pytest.raises((TypeError, ValueError)):
            Architecture.from_header({**fields, name: wrong})


def test_weights_bring_their_own_statistics() -> None:
    assert weights_statistics(Backbone.RESNET50) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with pytest.raises(UsageError, match="no weights for --backbone lenet exist"):
        weights_statistics(Backbone.LENET)


def test_in_bfloat16_a_network_is_trained_and_not_used() -> None:
    torch.manual_seed(0)
    network = SimilarityNet(Architecture(Backbone.CONV4, (1, 16, 16), (0.1,), (0.3,), 8))
    x = torch.rand(6, 1, 16, 16)
    exact, used = network.train().features(x), network.eval().features(x)
    types = {name: value.dtype for name, value in network.state_dict().items()}
    network.bf16 = True
    assert torch.equal(network.features(x), used)
    coarse = network.train().features(x)
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, exact)
    assert (coarse - exact).norm() < 0.05 * exact.norm()
    coarse.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.backbone.parameters())
    assert {name: value.dtype for name, value in network.state_dict().items()} == types


def test_members_of_an_ensemble_start_apart_and_learn_from_their_own_logits_only() -> None:
    torch.manual_seed(0)
    network = SimilarityNet(Architecture(Backbone.CONV4, (1, 16, 16), (0.1,), (0.3,), 8, members=2))
    first, second = members_of(network.backbone)
    assert network.backbone.features == 2 * first.features
    assert not torch.equal(next(first.parameters()), next(second.parameters()))
    logits = network.by_member(torch.rand(5, 1, 16, 16))
    assert logits.shape == (2, 5, 5)
    logits[0].sum().backward()
    assert all(p.grad is not None for p in first.parameters())
    assert all(p.grad is None or not p.grad.any() for p in second.parameters())
    assert not network.head.left.grad[8:].any()
    assert members_of(first) == [first]
