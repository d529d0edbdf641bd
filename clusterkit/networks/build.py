"""The networks of the program, each rebuilt from what its checkpoint's header says of it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from clusterkit.config import Backbone
from clusterkit.networks.backbones import BackboneLayers, Ensemble, build_backbone, members_of
from clusterkit.networks.pair_head import PairHead
from clusterkit.networks.target_statistics import set_target_statistics

HIDDEN = 512
"""Units of the hidden layer of a clustering network or a classifier."""
BOTTLENECK = 256
"""Units of the hidden layer of a classifier that is carried to another domain (L2C, section 5.2.1)."""


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a network: backbone, item shape (C, H, W) or (D,), widths, standardisation, members.

    `members` is how many backbones an ensemble has, and G as many pair heads, each of `hidden` units. `mean` and
    `std`, one number for each channel (C,) or feature (D,), are those of the data the network was trained on, images
    scaled to 0..1, or those that belong to the weights it started from. `limit` is how many deviations a value may lie
    off its mean, beyond which it is cut off; None for no limit.
    """

    backbone: Backbone
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hidden: int
    outputs: int = 1
    members: int = 1
    limit: float | None = None

    def to_header(self) -> dict[str, Any]:
        return {
            **asdict(self), "shape": list(self.shape), "backbone": str(self.backbone), "mean": list(self.mean),
            "std": list(self.std),
        }  # fmt: skip

    @staticmethod
    def from_header(fields: dict[str, Any]) -> "Architecture":
        """Rebuild from a header. Raises KeyError, TypeError or ValueError for one that is no architecture."""
        backbone, shape = Backbone(fields["backbone"]), tuple(fields["shape"])
        if not shape:
            raise ValueError("items of no shape")
        mean, std = (_for_each(fields[name], shape[0]) for name in ("mean", "std"))
        limit = None if fields.get("limit") is None else float(fields["limit"])
        if limit is not None and not limit > 0:
            raise ValueError(f"a limit of {limit}")
        return replace(Architecture(**fields), backbone=backbone, shape=shape, mean=mean, std=std, limit=limit)


def _for_each(numbers: float | list[float], count: int) -> tuple[float, ...]:
    """Return one number for each of `count` channels or features; files of version 1 hold one for all."""
    found = tuple(map(float, numbers if isinstance(numbers, list) else [numbers] * count))
    if len(found) != count:
        raise ValueError(f"{len(found)} numbers for {count} channels or features")
    return found


class Standardise(nn.Module):
    """Shift and scale each channel or feature by numbers of its own, which are no parameters, and cut off extremes."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.limit = architecture.limit
        to_each = [-1, *[1] * (len(architecture.shape) - 1)]
        self.register_buffer("mean", torch.tensor(architecture.mean).view(to_each), persistent=False)
        self.register_buffer("std", torch.tensor(architecture.std).view(to_each), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = x if self.limit is None else x.clamp(-self.limit, self.limit)
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


class BackboneNet(nn.Module):
    """What both networks begin with. Where `bf16` is set, the backbone is trained in bfloat16."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.standardise = Standardise(architecture)
        members = [build_backbone(architecture.backbone, architecture.shape) for _ in range(architecture.members)]
        self.backbone: BackboneLayers = members[0] if len(members) == 1 else Ensemble(members)
        self.bf16 = False

    def features(self, x: Tensor) -> Tensor:
        """Return the features (B, D) of items (B, C, H, W) or (B, D)."""
        x = self.standardise(x)
        if not (self.bf16 and self.training):
            return self.backbone(x)  # type: ignore[no-any-return]
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.backbone(x).float()  # type: ignore[no-any-return]

    def take_statistics(self, blocks: Callable[[], Iterator[Tensor]]) -> None:
        """Normalise in the backbone by the statistics of the items that `blocks` yields."""
        for member in members_of(self.backbone):
            # A member at a time, as none sees what another makes of an item.
            set_target_statistics(member, nn.Sequential(self.standardise, member), blocks)


class SimilarityNet(BackboneNet):
    """G: a backbone and the pair head; (B, C, H, W) to the logits (B, B) of all ordered pairs."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.head = PairHead(self.backbone.features, architecture.hidden, architecture.members)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out

    def by_member(self, x: Tensor) -> Tensor:
        """Return the logits (M, B, B) of each member of the ensemble alone, which are trained apart."""
        return self.head.by_member(self.features(x))


class ClusterNet(BackboneNet):
    """CCN: a backbone, one hidden layer and the K outputs of the cluster assignment (L2C, figure 4).

    The classifier of `adapt` or `pretrain` is the same network; its outputs are classes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        hidden = architecture.hidden
        self.head = nn.Sequential(
            nn.Linear(self.backbone.features, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, architecture.outputs),
        )
        self.to(memory_format=torch.channels_last)

    def bottleneck(self, x: Tensor) -> Tensor:
        """Return the values (B, hidden) of the hidden layer."""
        out: Tensor = self.head[:-1](self.features(x))
        return out

    def outputs(self, hidden: Tensor) -> Tensor:
        """Return the logits (B, K) that follow from the hidden layer."""
        out: Tensor = self.head[-1](hidden)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, K)."""
        return self.outputs(self.bottleneck(x))
