"""The networks, each built from an architecture that its checkpoint's header holds."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from clusterkit.config import Backbone
from clusterkit.errors import is_out_of_memory
from clusterkit.networks.backbones import BackboneLayers, Ensemble, build_backbone, members_of
from clusterkit.networks.groups import groups_of
from clusterkit.networks.heads import HeadKind, build_head
from clusterkit.networks.metric import CosineHead, Metric
from clusterkit.networks.pair_head import PairHead
from clusterkit.networks.target_statistics import set_target_statistics
from clusterkit.settings import MOST_SIZE

HIDDEN = 512
"""Units of the hidden layer of a clustering network or a classifier."""
BOTTLENECK = 256
"""Units of the hidden layer of a classifier that is adapted to another domain (L2C, section 5.2.1)."""


@dataclass(frozen=True)
class TailOf:
    """The last `blocks` blocks of the fixed backbone `name`, which read maps of pictures of `size` x `size` pixels.

    `map` is the shape of a map without its batch: (C, H, W), (H, W, C), or tokens (T, C).
    """

    name: str
    size: int
    blocks: int
    map: tuple[int, ...]

    @staticmethod
    def from_header(fields: dict[str, Any]) -> "TailOf":
        """Rebuild from a header. Raises KeyError, TypeError or ValueError if the fields are no blocks of a backbone."""
        tail = replace(TailOf(**fields), map=tuple(fields["map"]))
        numbers = (tail.size, tail.blocks, *tail.map)
        if type(tail.name) is not str or not all(type(number) is int and number > 0 for number in numbers):
            raise ValueError(f"{fields} are no blocks of a backbone")
        if tail.size > MOST_SIZE:
            raise ValueError(f"no fixed backbone reads pictures of {tail.size} pixels")
        return tail

    def build(self, width: int) -> BackboneLayers:
        """Return these blocks with random weights, from flat maps (B, prod(map)) to features (B, width).

        Raises ValueError if they do not take maps of this shape, or make other features of them.
        """
        # Only these networks need the libraries of fixed backbones.
        from clusterkit.features.models import untrained_tail
        from clusterkit.features.tails import Tail

        tail = Tail(width, self.map, untrained_tail(self.name, self.size, self.blocks))
        try:
            with torch.no_grad():
                features = tail(torch.zeros(1, math.prod(self.map)))
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # The blocks of the libraries refuse other maps in many ways.
            raise ValueError(f"the last blocks of {self.name} do not read maps {self.map}") from error
        if features.shape != (1, width):
            raise ValueError(f"the last blocks of {self.name} do not make {width} features")
        return tail


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a network.

    `shape` is that of an item, (C, H, W) or (D,). `members` is the number of backbones of an ensemble, in which G has
    as many pair heads, each of `hidden` units. `mean` and `std`, one number for each channel (C,) or feature (D,),
    standardise items. They are those of the data the network was trained on, images scaled to 0..1, or those that
    belong to the weights it started from. `limit` is the largest number of standard deviations between a value and its
    mean, beyond which it is cut off; None sets no limit. Without a `backbone` the items are fixed features, which a
    metric turns into `width` values; with a `tail` they are flat maps, of which its blocks make `width` features.
    `head` is the kind of a clustering network's head; a linear one has no `hidden` layer, which is then 0.
    """

    backbone: Backbone | None
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hidden: int
    outputs: int = 1
    members: int = 1
    limit: float | None = None
    width: int | None = None
    tail: TailOf | None = None
    head: HeadKind = HeadKind.HIDDEN

    def to_header(self) -> dict[str, Any]:
        fields = {**asdict(self), "shape": list(self.shape), "mean": list(self.mean), "std": list(self.std)}
        if self.backbone is not None:
            del fields["width"]
        if self.head is HeadKind.HIDDEN:
            del fields["head"]
        if self.tail is None:
            del fields["tail"]
        else:
            # A map has thousands of values, none of which is standardised.
            fields |= {"mean": self.mean[0], "std": self.std[0]}
        return fields

    @staticmethod
    def from_header(fields: dict[str, Any]) -> "Architecture":
        """Rebuild from a header. Raises KeyError, TypeError or ValueError if the fields are no architecture."""
        shape, name = tuple(fields["shape"]), fields["backbone"]
        if not shape:
            raise ValueError("the shape is empty")
        backbone = None if name is None else Backbone(name)
        if (backbone is None) is (fields.get("width") is None):
            raise ValueError(f"a width of {fields.get('width')} does not fit the backbone {name}")
        mean, std = (_per_channel(fields[name], shape[0]) for name in ("mean", "std"))
        limit = None if fields.get("limit") is None else float(fields["limit"])
        if limit is not None and not limit > 0:
            raise ValueError(f"the limit {limit} is not positive")
        tail = None if fields.get("tail") is None else TailOf.from_header(fields["tail"])
        head = HeadKind(fields.get("head", HeadKind.HIDDEN))
        return replace(
            Architecture(**fields),
            backbone=backbone,
            shape=shape,
            mean=mean,
            std=std,
            limit=limit,
            tail=tail,
            head=head,
        )


def _per_channel(numbers: float | list[float], count: int) -> tuple[float, ...]:
    """Return one number for each of `count` channels or features. Files of version 1 hold one number for all."""
    values = tuple(map(float, numbers if isinstance(numbers, list) else [numbers] * count))
    if len(values) != count:
        raise ValueError(f"{len(values)} numbers do not fit {count} channels or features")
    return values


class Standardise(nn.Module):
    """Standardise each channel or feature by fixed numbers, and cut off extreme values.

    Vectors in float64 are narrowed only afterwards, because float32 may not hold their differences.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.limit = architecture.limit
        view = [-1, *[1] * (len(architecture.shape) - 1)]
        self.register_buffer("mean", torch.tensor(architecture.mean).view(view), persistent=False)
        self.register_buffer("std", torch.tensor(architecture.std).view(view), persistent=False)
        # No buffers, because MPS has no float64 and would refuse the whole network.
        self.exact = torch.tensor([architecture.mean, architecture.std], dtype=torch.float64).view(2, *view)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            self.exact = self.exact.to(x.device)
            mean, std = self.exact
            x = ((x - mean) / std).to(self.mean.dtype)
        else:
            x = (x - self.mean) / self.std
        x = x if self.limit is None else x.clamp(-self.limit, self.limit)
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


class BackboneNet(nn.Module):
    """The base of both networks: standardisation and a backbone, which is trained in bfloat16 if `bf16` is set.

    `frozen` are the layers of the backbone that a training leaves as they are.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.standardise = Standardise(architecture)
        self.backbone = self._build(architecture)
        self.bf16 = False
        self.frozen: list[nn.Module] = []

    def train_last(self, groups: int) -> None:
        """Let a training change only the last groups of layers of the backbone, and what follows it.

        The batch normalisations of the other layers keep their statistics. Raises ValueError if the backbone has fewer
        groups.
        """
        layers = groups_of(self.backbone)
        if groups > len(layers):
            raise ValueError(f"the backbone has {len(layers)} groups of layers")
        self.frozen = [layer for group in layers[: len(layers) - groups] for layer in group]
        for layer in self.frozen:
            layer.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers; frozen ones compute as in evaluation."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    @staticmethod
    def _build(architecture: Architecture) -> BackboneLayers:
        if architecture.backbone is None:
            assert architecture.width is not None
            if architecture.tail is not None:
                return architecture.tail.build(architecture.width)
            return Metric(architecture.shape[0], architecture.width)
        members = [build_backbone(architecture.backbone, architecture.shape) for _ in range(architecture.members)]
        return members[0] if len(members) == 1 else Ensemble(members)

    def features(self, x: Tensor) -> Tensor:
        """Return the features (B, D) of items (B, C, H, W) or (B, D)."""
        x = self.standardise(x)
        if not (self.bf16 and self.training):
            return self.backbone(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.backbone(x).float()  # type: ignore[no-any-return]

    def take_statistics(self, blocks: Callable[[], Iterator[Tensor]]) -> None:
        """Set the statistics of the backbone's batch normalisations to those of the items that `blocks` yields."""
        for member in members_of(self.backbone):
            # Members are independent: none reads the features of another.
            set_target_statistics(member, nn.Sequential(self.standardise, member), blocks)


class SimilarityNet(BackboneNet):
    """G: from items (B, C, H, W) or (B, D) to the logits (B, B) of all ordered pairs.

    It is a backbone and the pair head, or for fixed features a metric and their calibrated similarity.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.head: PairHead | CosineHead = (
            CosineHead(*architecture.shape)
            if architecture.backbone is None
            else PairHead(self.backbone.features, architecture.hidden, architecture.members)
        )
        self.to(memory_format=torch.channels_last)

    def take_statistics(self, blocks: Callable[[], Iterator[Tensor]]) -> None:
        """Set the backbone's statistics to those of the items that `blocks` yields; a metric is fitted to them."""
        if isinstance(self.head, CosineHead):
            self.backbone = self.head.fit(torch.cat([self.standardise(block) for block in blocks()]))
            self.architecture = replace(self.architecture, width=self.backbone.features)
        else:
            super().take_statistics(blocks)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out

    def by_member(self, x: Tensor) -> Tensor:
        """Return the logits (M, B, B) of each member of the ensemble; members are trained separately."""
        assert isinstance(self.head, PairHead)
        return self.head.by_member(self.features(x))


class ClusterNet(BackboneNet):
    """CCN: a backbone and a head with the K outputs of the cluster assignment (L2C, figure 4).

    In `adapt` and `pretrain` this network is a classifier, and its outputs are classes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.head = build_head(architecture.head, self.backbone.features, architecture.hidden, architecture.outputs)
        self.to(memory_format=torch.channels_last)

    def bottleneck(self, x: Tensor) -> Tensor:
        """Return the hidden values (B, H) of the head."""
        out: Tensor = self.head[:-1](self.features(x))
        return out

    def outputs(self, hidden: Tensor) -> Tensor:
        """Return the logits (B, K) of the hidden values (B, H)."""
        out: Tensor = self.head[-1](hidden)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, K)."""
        return self.outputs(self.bottleneck(x))
