"""Models of torchvision that classify: what it says of them, and their networks without the classifier."""

import re
from typing import Any

from torch import Tensor, nn

from clusterkit.errors import UsageError
from clusterkit.features.card import NOT_STATED, Card, unknown

DENSE = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
"""Keys of the published weights of DenseNets, which torchvision renames too."""


def card(name: str, size: int | None) -> Card:
    """Return what torchvision says of a model, with its own size for None. Raises UsageError for an unknown name."""
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise unknown("torchvision", name, names)
    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    [own], [side] = transforms.crop_size, transforms.resize_size
    if name.startswith("vit_") and size not in (None, own):
        raise UsageError(f"--size {size}: torchvision:{name} takes pictures of {own} pixels only; leave out --size")
    return Card(
        name=name,
        licence=weights.meta.get("license", NOT_STATED),
        size=size or own,
        crop=own / side,
        mode="center",
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        files=(weights.url.rsplit("/", 1)[-1],),
        url=weights.url,
    )


def plain(card: Card) -> nn.Module:
    """Return a model of torchvision whose last linear layer is left out. Raises UsageError if it has none."""
    network, _ = _without_classifier(card)
    return network


def loaded(card: Card, state: dict[str, Tensor]) -> tuple[nn.Module, list[str], list[str]]:
    """Return a model of torchvision with a state dict, the keys that the state lacks, and its foreign keys.

    Keys of the classifier are not foreign. Raises RuntimeError for a state of other shapes.
    """
    network, classifier = _without_classifier(card)
    for key in list(state):
        match = DENSE.fullmatch(key) if card.name.startswith("densenet") else None
        # The state has to stay the same object, because some layers read its metadata.
        value = state.pop(key)
        if not key.startswith(f"{classifier}."):
            state["".join(match.groups()) if match else key] = value
    result = network.load_state_dict(state, strict=False)
    return network, result.missing_keys, result.unexpected_keys


def patch_side(network: nn.Module) -> int:
    """Return 1, as the models of torchvision that cut pictures into squares take one size only, or pad the pictures."""
    return 1


def _without_classifier(card: Card) -> tuple[nn.Module, str]:
    """Return a network without its last linear layer, and the name of that layer."""
    from torchvision import models

    settings: dict[str, Any] = {}
    if card.name in ("googlenet", "inception_v3"):
        # Their published weights take pixels from -1 to 1.
        settings = {"transform_input": True, "init_weights": False}
    elif card.name.startswith("vit_"):
        settings = {"image_size": card.size}
    network: nn.Module = models.get_model(card.name, weights=None, **settings)
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise UsageError(f"--backbone torchvision:{card.name}: has no layer of pooled features; choose another model")
    network.set_submodule(linear[-1], nn.Identity())
    return network, linear[-1]
