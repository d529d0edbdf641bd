"""The joint batch of source and target, and the base class of the loss terms that read it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clusterkit.config import Kind
from clusterkit.datasets.base import Subset
from clusterkit.distributed import Share
from clusterkit.networks.domain import Ramp
from clusterkit.pairs.source import PairSource

BESIDE_PAIRS = 0.1
"""Highest weight of a term that aligns the domains in a method that also learns from the target's pairs.

Pairs align the domains as well. With a full weight on MNIST to USPS, the classes agree less with the pairs.
"""


@dataclass(frozen=True)
class Domains:
    """A labelled source and an unlabelled target on one device. `labels` (N,) are the source's class numbers."""

    source: Subset
    source_kind: Kind
    labels: Tensor
    target: Subset
    target_kind: Kind
    pairs: PairSource | None


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Network values of this process's share of a joint batch: first the source images, then the target images.

    `hidden` (b, H) are the bottleneck's units and `logits` (b, K) the outputs. The first `count` rows are the source's.
    `index_s` and `index_t` are the positions of all images of the batch, `shard_s` and `shard_t` this process's shares.
    """

    hidden: Tensor
    logits: Tensor
    count: int
    index_s: Tensor
    index_t: Tensor
    shard_s: Share
    shard_t: Share


class BaseTerm(nn.Module):
    """A term of the loss. It holds its trained parameters and the state that resuming a training needs."""

    def __init__(self, domains: Domains, hidden: int, steps: int, options: object, *, beside_pairs: bool) -> None:
        """Build the term for a bottleneck of `hidden` units and a training of `steps` steps.

        `beside_pairs` says that the method also learns from the target's pairs.
        """
        super().__init__()
        self.domains, self.options = domains, options
        self.hidden, self.ramp = hidden, Ramp(steps, BESIDE_PAIRS if beside_pairs else 1.0)

    def forward(self, joint: Joint) -> dict[str, torch.Tensor]:
        """Return this process's share of each loss, by its name in the history."""
        raise NotImplementedError
