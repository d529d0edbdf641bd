"""A classifier of a labelled source trained for an unlabelled target: one training, to which each method adds terms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.augment import augment
from clusterkit.config import AdaptConfig, AdaptMethod, Kind
from clusterkit.datasets.base import Subset
from clusterkit.distributed import share
from clusterkit.losses import LOSSES
from clusterkit.losses.jmmd import domain_weights, jmmd
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.domain import Discriminator, Ramp, reversed_gradient
from clusterkit.pairs.source import PairSource
from clusterkit.sampling import Endless
from clusterkit.training import History, Plan, batches_of, fit


class Term(Enum):
    """What is added to the classification loss of the source."""

    CLUSTER = "cluster"
    DOMAIN = "domain"
    JMMD = "jmmd"


TERMS: dict[AdaptMethod, frozenset[Term]] = {
    AdaptMethod.SOURCE_ONLY: frozenset(),
    AdaptMethod.CCN_PLUS: frozenset({Term.CLUSTER}),
    AdaptMethod.DANN: frozenset({Term.DOMAIN}),
    AdaptMethod.CCN_PLUS_PLUS: frozenset({Term.CLUSTER, Term.DOMAIN}),
    AdaptMethod.JAN: frozenset({Term.JMMD}),
    AdaptMethod.JAN_CCN: frozenset({Term.CLUSTER, Term.JMMD}),
}

BESIDE_PAIRS = 0.1
"""The height of the weight of what aligns the domains where the pairs of the target are learned from as well.

They draw the domains together themselves, and a full weight unsettles what they find: of MNIST to USPS, the classes
then agree less with the pairs.
"""

Batch = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]


@dataclass(frozen=True)
class Domains:
    """A labelled source and an unlabelled target on one device; `labels` (N,) are class numbers of the source."""

    source: Subset
    source_kind: Kind
    labels: Tensor
    target: Subset
    target_kind: Kind
    pairs: PairSource | None


def adapt(
    network: ClusterNet, domains: Domains, config: AdaptConfig, plan: Plan, after: Callable[[int], None] | None = None
) -> History:
    """Train a classifier in place; return the mean of each term of the loss in each epoch.

    The loss is equation 8 of L2C on the source's part of a batch. `cluster` adds equation 9, the pair loss on the
    target's part, which makes it equation 7. `domain` adds the discriminator's loss on the hidden layer of both parts,
    whose gradient is reversed (DANN), `jmmd` the joint discrepancy of hidden layer and probabilities (JAN), both with a
    weight that rises to 1, or beside pairs to `BESIDE_PAIRS`. All go through the network as one batch. Without a term
    the batch is the source's part alone.
    """
    terms = TERMS[config.method]
    loss = LOSSES[config.loss]
    device = domains.labels.device
    parts: dict[str, nn.Module] = {"classifier": network}
    ramp = Ramp(plan.epochs * plan.steps, BESIDE_PAIRS if Term.CLUSTER in terms else 1.0)
    discriminator = Discriminator(network.architecture.hidden)
    if terms & {Term.DOMAIN, Term.JMMD}:
        parts["ramp"] = ramp
    if Term.DOMAIN in terms:
        parts["discriminator"] = discriminator
    sampler_s = Endless(len(domains.source), min(config.source_batch, len(domains.source)), plan.steps)
    sampler_t = Endless(len(domains.target), min(config.target_batch, len(domains.target)), plan.steps)

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        source = batches_of(domains.source, sampler_s, generator, device)
        if not terms:
            yield from ((batch, None) for batch in source)
            return
        yield from zip(source, batches_of(domains.target, sampler_t, generator, device), strict=True)

    def step(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        (index_s, x_s), rest = batch
        own_s = share(len(index_s))
        x = augment(x_s, domains.source_kind, generator, own_s, config.variation)
        if rest is not None:
            index_t, x_t = rest
            own_t = share(len(index_t))
            x = torch.cat([x, augment(x_t, domains.target_kind, generator, own_t, config.variation)])
        hidden = network.bottleneck(x)
        logits = network.outputs(hidden)
        count = len(x_s)
        truth = domains.labels[index_s[own_s.rows]]
        losses = {"classification": F.cross_entropy(logits[:count], truth) * own_s.weight}
        if rest is None:
            return losses
        if Term.CLUSTER in terms:
            assert domains.pairs is not None
            similar = (domains.pairs.logits(index_t[own_t.rows], index_t) > 0).to(x)
            losses["cluster"] = loss(logits[count:], similar, config.sigma)
        if Term.DOMAIN in terms:
            from_source = discriminator(reversed_gradient(hidden, ramp()))
            losses["domain"] = (
                F.softplus(-from_source[:count]).mean() * own_s.weight
                + F.softplus(from_source[count:]).mean() * own_t.weight
            ) / 2
        if Term.JMMD in terms:
            weights = domain_weights(len(index_s), len(index_t), (count, len(x_t)), device)
            losses["jmmd"] = ramp() * jmmd(hidden, logits.softmax(1), weights)
        return losses

    return fit(nn.ModuleDict(parts).to(device), batches, step, plan, after)
