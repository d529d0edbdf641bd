"""What a term of a method of adaptation reads of a joint batch of source and target."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clusterkit.config import Kind
from clusterkit.datasets.base import Subset
from clusterkit.distributed import Share
from clusterkit.networks.domain import Ramp
from clusterkit.pairs.source import PairSource

BESIDE_PAIRS = 0.1
"""The height of the weight of what aligns the domains where the pairs of the target are learned from as well.

They draw the domains together themselves, and a full weight unsettles what they find: of MNIST to USPS, the classes
then agree less with the pairs.
"""


@dataclass(frozen=True)
class Domains:
    """A labelled source and an unlabelled target on one device; `labels` (N,) are class numbers of the source."""

    source: Subset
    source_kind: Kind
    labels: Tensor
    target: Subset
    target_kind: Kind
    pairs: PairSource | None


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What the network makes of a batch: of this process's share of the source's images first, then of the target's.

    `hidden` (b, H) are the bottleneck's units and `logits` (b, K) the outputs; the first `count` are the source's.
    `index_s` and `index_t` are the positions of the whole batch's images, `own_s` and `own_t` this process's shares.
    """

    hidden: Tensor
    logits: Tensor
    count: int
    index_s: Tensor
    index_t: Tensor
    own_s: Share
    own_t: Share


class BaseTerm(nn.Module):
    """A term: its module holds what is trained beside the classifier, and what an interrupted training needs."""

    def __init__(self, domains: Domains, hidden: int, steps: int, options: object, *, beside_pairs: bool) -> None:
        """Make the term for units of the bottleneck and a number of steps in all."""
        super().__init__()
        self.domains, self.options = domains, options
        self.hidden, self.ramp = hidden, Ramp(steps, BESIDE_PAIRS if beside_pairs else 1.0)

    def forward(self, joint: Joint) -> dict[str, torch.Tensor]:
        """Return this process's part of the loss, by the name that the history has for it."""
        raise NotImplementedError
