"""Backbones, from images (B, C, H, W) or vectors (B, D) to features (B, D'), with D' as `.features`."""

import math
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from clusterkit import console
from clusterkit.config import Backbone
from clusterkit.errors import InputError, UsageError, is_out_of_memory
from clusterkit.networks.fast import fast_layers


class BackboneLayers(nn.Sequential):
    """The layers of a backbone and the width of their output, `features`."""

    def __init__(self, features: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.features = features


class Ensemble(BackboneLayers):
    """Several backbones on the same images, with their features side by side."""

    def __init__(self, members: list[BackboneLayers]) -> None:
        super().__init__(sum(member.features for member in members), *members)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([member(x) for member in self], 1)


def members_of(backbone: BackboneLayers) -> list[BackboneLayers]:
    """Return the backbones of an ensemble, or a single backbone as a list of one."""
    return [cast(BackboneLayers, member) for member in backbone] if isinstance(backbone, Ensemble) else [backbone]


def _conv(inputs: int, outputs: int, *, pool: bool) -> list[nn.Module]:
    """Return convolution, pooling, batch normalisation and ReLU.

    Pooling comes before normalisation, because it leaves a quarter of the values to normalise and rectify.
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    layers += [nn.MaxPool2d(2)] if pool else []
    return [*layers, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _flat(shape: tuple[int, ...], layers: list[nn.Module]) -> BackboneLayers:
    """Add a layer that flattens the output of convolutions, whose width one forward pass determines."""
    layers = [*layers, nn.Flatten()]
    network = nn.Sequential(*layers).eval()
    with torch.no_grad():
        width = network(torch.zeros(1, *shape)).shape[1]
    return BackboneLayers(width, *network.train())


def _linear(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]


def four_convolutions(shape: tuple[int, ...], *widths: int) -> BackboneLayers:
    """Return four 3x3 convolutions, each with 2x2 pooling (Hsu et al. 2018, L2C, section 5.1.1).

    The paper gives no widths. VGGS has the widths of the authors' code: 64, 128, 256 and 256. The widths of conv4, 64,
    64, 128 and 256, learn as well on Omniglot in half the time.
    """
    inputs = (shape[0], *widths)
    return _flat(shape, [layer for a, b in zip(inputs, widths, strict=False) for layer in _conv(a, b, pool=True)])


def fine_convolutions(shape: tuple[int, ...]) -> BackboneLayers:
    """Return four convolutions of 32, 32, 64 and 128 channels, the first of 5x5, each with 2x2 pooling.

    From 64 pixels per side on, the first has stride 2, so that finer images of 64 pixels cost as much as images of 32.
    Early in a training on Omniglot it learns as much per step as conv4, in less than half the time.
    """
    stride = 2 if min(shape[1:]) >= 64 else 1
    stem = [nn.Conv2d(shape[0], 32, 5, stride, 2, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(32)]
    rest = [layer for a, b in ((32, 32), (32, 64), (64, 128)) for layer in _conv(a, b, pool=True)]
    return _flat(shape, [*stem, nn.ReLU(inplace=True), *rest])


def spn(shape: tuple[int, ...]) -> BackboneLayers:
    """Return VGGS and two fully connected layers (Hsu et al. 2016, the layers of SPN before the pairing)."""
    body = four_convolutions(shape, 64, 128, 256, 256)
    return BackboneLayers(512, *body, *_linear(body.features, 512), *_linear(512, 512))


def lenet(shape: tuple[int, ...]) -> BackboneLayers:
    """Return two 5x5 convolutions of 20 and 50 channels and a fully connected layer of 500 units, batch-normalised."""
    convolutions: list[nn.Module] = []
    for inputs, outputs in ((shape[0], 20), (20, 50)):
        convolutions += [nn.Conv2d(inputs, outputs, 5, bias=False), nn.MaxPool2d(2)]
        convolutions += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    body = _flat(shape, convolutions)
    return BackboneLayers(500, *body, *_linear(body.features, 500))


def dtn(shape: tuple[int, ...]) -> BackboneLayers:
    """Return three 5x5 convolutions of 64, 128 and 256 channels with stride 2, batch-normalised, for digits of 32 x 32.

    The literature uses this small network for SVHN to MNIST, with dropout, which is left out here.
    """
    inputs = (shape[0], 64, 128, 256)
    layers: list[nn.Module] = []
    for a, b in pairwise(inputs):
        layers += [nn.Conv2d(a, b, 5, 2, 2, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return _flat(shape, layers)


def _vgg(shape: tuple[int, ...], plan: str) -> BackboneLayers:
    """Return the VGG of a plan: widths in units of 64 channels, and M for 2x2 pooling after the layer before."""
    steps = plan.split()
    layers: list[nn.Module] = []
    inputs = shape[0]
    for step, following in zip(steps, [*steps[1:], ""], strict=True):
        if step != "M":
            layers += _conv(inputs, 64 * int(step), pool=following == "M")
            inputs = 64 * int(step)
    return _flat(shape, [*layers, nn.AdaptiveAvgPool2d(1)])


class _PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ReLU, and an identity or 1x1 shortcut (He et al. 2016)."""

    WIDER = 1

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        resized = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if resized else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(active)
        return cast(Tensor, self.conv2(self.norm2(self.conv1(active)).relu()) + shortcut)


class _PreActBottleneck(nn.Module):
    """Convolutions of 1x1, 3x3 and, to four times the width, 1x1, each after normalisation and ReLU (He et al.)."""

    WIDER = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.WIDER * width
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        resized = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if resized else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(active)
        narrow = self.conv2(self.norm2(self.conv1(active)).relu())
        return cast(Tensor, self.conv3(self.norm3(narrow).relu()) + shortcut)


def _preactresnet(
    shape: tuple[int, ...], block: type[_PreActBlock] | type[_PreActBottleneck], depths: tuple[int, ...]
) -> BackboneLayers:
    """Return the pre-activation ResNet for small images: a 3x3 stem and four stages of `depths` blocks."""
    layers: list[nn.Module] = [nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False)]
    inputs = 64
    for width, stride, depth in zip((64, 128, 256, 512), (1, 2, 2, 2), depths, strict=True):
        for number in range(depth):
            layers.append(block(inputs, width, 1 if number else stride))
            inputs = block.WIDER * width
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
    return _flat(shape, layers)


def _resnet(shape: tuple[int, ...], name: str) -> BackboneLayers:
    from torchvision import models

    network = getattr(models, name)()
    if shape[0] != 3:
        network.conv1 = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
    width = network.fc.in_features
    network.fc = nn.Identity()
    return BackboneLayers(width, network)


def mlp(shape: tuple[int, ...]) -> BackboneLayers:
    """Return two hidden layers of 256 units, for vectors and flattened images."""
    width = math.prod(shape)
    return BackboneLayers(256, nn.Flatten(), *_linear(width, 256), *_linear(256, 256))


def identity(shape: tuple[int, ...]) -> BackboneLayers:
    """Return no layers: the features are the values of the item."""
    return BackboneLayers(math.prod(shape), nn.Flatten())


DEC_WIDTHS = (500, 500, 2000, 10)
"""Widths of the layers of DEC's encoder; the last are its features."""


def dec(shape: tuple[int, ...]) -> BackboneLayers:
    """Return the encoder of DEC's autoencoder, for vectors and flattened images (Xie et al. 2016, section 4.3).

    The last layer is linear and nothing is normalised.
    """
    widths = (math.prod(shape), *DEC_WIDTHS)
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU(inplace=True)]
    return BackboneLayers(widths[-1], nn.Flatten(), *layers[:-1])


BACKBONES: dict[Backbone, Callable[[tuple[int, ...]], BackboneLayers]] = {
    Backbone.CONV4: lambda shape: four_convolutions(shape, 64, 64, 128, 256),
    Backbone.CONV4_FINE: lambda shape: fine_convolutions(shape),
    Backbone.VGGS: lambda shape: four_convolutions(shape, 64, 128, 256, 256),
    Backbone.SPN: lambda shape: spn(shape),
    Backbone.LENET: lambda shape: lenet(shape),
    Backbone.DTN: dtn,
    Backbone.VGG8: lambda shape: _vgg(shape, "1 M 2 M 4 M 8 M 8 M"),
    Backbone.VGG11: lambda shape: _vgg(shape, "1 M 2 M 4 4 M 8 8 M 8 8 M"),
    Backbone.VGG16: lambda shape: _vgg(shape, "1 1 M 2 2 M 4 4 4 M 8 8 8 M 8 8 8 M"),
    Backbone.VGG_FAST: lambda shape: _flat(shape, fast_layers(shape[0])),
    Backbone.PREACTRESNET18: lambda shape: _preactresnet(shape, _PreActBlock, (2, 2, 2, 2)),
    Backbone.PREACTRESNET101: lambda shape: _preactresnet(shape, _PreActBottleneck, (3, 4, 23, 3)),
    Backbone.RESNET18: lambda shape: _resnet(shape, "resnet18"),
    Backbone.RESNET34: lambda shape: _resnet(shape, "resnet34"),
    Backbone.RESNET50: lambda shape: _resnet(shape, "resnet50"),
    Backbone.MLP: lambda shape: mlp(shape),
    Backbone.IDENTITY: identity,
    Backbone.DEC: dec,
}


OF_VECTORS = (Backbone.MLP, Backbone.IDENTITY, Backbone.DEC)
"""Backbones that also take vectors."""


def build_backbone(name: Backbone, shape: tuple[int, ...]) -> BackboneLayers:
    """Build a backbone for items of a shape, (C, H, W) or (D,). Raises UsageError if they do not fit."""
    if len(shape) == 1 and name not in OF_VECTORS:
        raise UsageError(f"--backbone {name} takes images, but this data set holds vectors; use --backbone mlp")
    try:
        return BACKBONES[name](shape)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"--backbone {name} cannot take images of {shape[1]}x{shape[2]}; use larger images or another --backbone"
        ) from error


def suited(settings: Any, shape: tuple[int, ...], *, typed: bool) -> Any:
    """Return settings with a `backbone` for items of a shape: `mlp` if the default does not fit and none was `typed`.

    Raises UsageError if the backbone that was typed does not fit.
    """
    name = settings.backbone
    if not isinstance(name, Backbone) or name in OF_VECTORS:
        return settings
    try:
        # On this device nothing is computed.
        with torch.device("meta"):
            build_backbone(name, shape)
    except UsageError:
        if typed:
            raise
        items = "vectors" if len(shape) == 1 else f"images of {shape[1]}x{shape[2]}"
        console.once("--backbone mlp is used, as the default %s cannot take %s", name, items)
        return replace(settings, backbone=Backbone.MLP)
    return settings


WITH_WEIGHTS = (Backbone.RESNET18, Backbone.RESNET34, Backbone.RESNET50)
"""Backbones with ImageNet weights in torchvision."""


def has_weights(name: Backbone, shape: tuple[int, ...]) -> bool:
    """Return whether ImageNet weights exist for a backbone and an item shape: they do for ResNets on colour images."""
    return name in WITH_WEIGHTS and len(shape) == 3 and shape[0] == 3


def _weights(name: Backbone) -> Any:
    """Return torchvision's entry of a ResNet's ImageNet weights. Raises UsageError for a backbone without weights."""
    from torchvision import models

    if name not in WITH_WEIGHTS:
        raise UsageError(f"--pretrained: no weights for --backbone {name} exist; use resnet18, resnet34 or resnet50")
    return models.get_model_weights(name).DEFAULT


def weights_statistics(name: Backbone) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation (C,) per channel of the images that a ResNet's weights were trained on.

    Raises UsageError for a backbone without weights.
    """
    transforms = _weights(name).transforms()
    return tuple(transforms.mean), tuple(transforms.std)


def weights_file(name: Backbone, *, offline: bool) -> Path:
    """Return the file of a ResNet's ImageNet weights in torch's cache, and download it if it is missing.

    Raises UsageError for a backbone without weights, and InputError if `offline` is set or the download fails.
    """
    url = _weights(name).url
    file = Path(torch.hub.get_dir()) / "checkpoints" / str(url).rsplit("/", 1)[-1]
    reason = "--offline is set"
    if not (file.exists() or offline):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), file.stem.rsplit("-", 1)[-1], progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            reason = str(error)
    if not file.exists():
        raise InputError(f"{file}: weights are missing ({reason}); put them there or leave out --pretrained")
    return file


def load_pretrained(backbone: BackboneLayers, name: Backbone, *, offline: bool) -> Path:
    """Load ImageNet weights into a colour ResNet; return their file, which `weights_file` finds.

    Raises the errors of `weights_file`, and InputError if the file holds no weights of this network.
    """
    file = weights_file(name, offline=offline)
    try:
        state = torch.hub.load_state_dict_from_url(file.as_uri(), weights_only=True, progress=False)
        backbone[0].load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")})
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # Torch does not document which errors a damaged file raises.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file}: no weights of {name} ({reason}); remove it") from error
    return file
