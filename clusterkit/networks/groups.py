"""The groups of layers of a backbone, of which a training may change only the last."""

from collections.abc import Iterable
from itertools import chain

from torch import nn

from clusterkit.errors import UsageError
from clusterkit.networks.backbones import BackboneLayers, Ensemble, members_of


def groups_of(backbone: BackboneLayers) -> list[list[nn.Module]]:
    """Return the layers of a backbone in groups, from the input to the output.

    The convolutions between two poolings are a group, and so is a stage of a ResNet and a fully connected layer. Each
    group has the normalisations and activations that follow its layers. A backbone without weights has no groups. The
    groups of an ensemble hold those of all its members.
    """
    if isinstance(backbone, Ensemble):
        by_member = [groups_of(member) for member in members_of(backbone)]
        return [list(chain(*groups)) for groups in zip(*by_member, strict=True)]
    layers = list(backbone)
    # A whole network of a library is one layer, whose parts follow each other as its children do.
    layers = list(layers[0].children()) if len(layers) == 1 else layers
    groups: list[list[nn.Module]] = [[]]
    for layer in layers:
        before = groups[-1]
        begins = isinstance(layer, nn.Linear) or _shrinks([layer]) or _pools(before)
        if _has_weights([layer]) and _has_weights(before) and begins:
            groups.append([])
        groups[-1].append(layer)
    return groups if _has_weights(groups[0]) else []


def check_groups(backbone: BackboneLayers, groups: int, file: object) -> None:
    """Raise UsageError if the backbone of a network in a file has fewer groups of layers."""
    most = len(groups_of(backbone))
    if groups > most:
        raise UsageError(
            f"--fine-tune {groups}: the backbone in {file} has {most} groups of layers; give a smaller number"
        )


def _parts(layers: Iterable[nn.Module]) -> Iterable[nn.Module]:
    return (part for layer in layers for part in layer.modules())


def _has_weights(layers: Iterable[nn.Module]) -> bool:
    """Return whether a convolution or a fully connected layer is among layers."""
    return any(isinstance(part, nn.Conv2d | nn.Linear) for part in _parts(layers))


def _pools(layers: Iterable[nn.Module]) -> bool:
    """Return whether there is a pooling among layers, outside of blocks."""
    return any(isinstance(layer, nn.MaxPool2d) for layer in layers)


def _shrinks(layers: Iterable[nn.Module]) -> bool:
    """Return whether layers, or blocks of them, make images smaller before the next layer."""
    return any(
        isinstance(part, nn.MaxPool2d) or (isinstance(part, nn.Conv2d) and max(part.stride) > 1)
        for part in _parts(layers)
    )
