"""Training of a classifier on a labelled source for an unlabelled target, with the terms of a method."""

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.adaptation.joint import BaseTerm, Domains, Joint
from clusterkit.augment import augment
from clusterkit.config import AdaptConfig
from clusterkit.distributed import share
from clusterkit.networks.build import ClusterNet
from clusterkit.sampling import Endless
from clusterkit.training import History, Plan, batches_of, fit

Batch = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]


def adapt(
    network: ClusterNet, domains: Domains, config: AdaptConfig, plan: Plan, after: Callable[[int], None] | None = None
) -> History:
    """Train a classifier in place; return the mean of each loss term in each epoch.

    The loss is the classification loss on the source (L2C, equation 8) plus the method's terms. Source and target
    images pass through the network as one batch. Without a term, a batch holds source images only.
    """
    device = domains.labels.device
    terms = terms_of(network, domains, config, plan.epochs * plan.steps)
    sampler_s = Endless(len(domains.source), min(config.source_batch, len(domains.source)), plan.steps)
    sampler_t = Endless(len(domains.target), min(config.target_batch, len(domains.target)), plan.steps)

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        source = batches_of(domains.source, sampler_s, generator, device)
        target = batches_of(domains.target, sampler_t, generator, device) if terms else repeat(None, plan.steps)
        for (index_s, x_s), beside in zip(source, target, strict=True):
            x_s = augment(x_s, domains.source_kind, generator, share(len(index_s)), config.variation)
            if beside is None:
                yield (index_s, x_s), None
                continue
            index_t, x_t = beside
            x_t = augment(x_t, domains.target_kind, generator, share(len(index_t)), config.variation)
            yield (index_s, x_s), (index_t, x_t)

    def step(batch: Batch) -> dict[str, Tensor]:
        (index_s, x), target = batch
        shard_s, count = share(len(index_s)), len(x)
        if target is not None:
            index_t, x_t = target
            shard_t = share(len(index_t))
            x = torch.cat([x, x_t])
        hidden = network.bottleneck(x)
        logits = network.outputs(hidden)
        labels = domains.labels[index_s[shard_s.rows]]
        losses = {"classification": F.cross_entropy(logits[:count], labels) * shard_s.weight}
        if target is not None:
            joint = Joint(
                hidden=hidden, logits=logits, count=count, index_s=index_s, index_t=index_t, shard_s=shard_s,
                shard_t=shard_t,
            )  # fmt: skip
            for term in terms.values():
                losses |= term(joint)
        return losses

    modules: dict[str, nn.Module] = {"classifier": network, **terms}
    return fit(nn.ModuleDict(modules).to(device), batches, step, plan, after)


def terms_of(network: ClusterNet, domains: Domains, config: AdaptConfig, steps: int) -> dict[str, BaseTerm]:
    """Return the terms of a method by the names of their files."""
    method = ADAPTATIONS[config.method]
    modules = {name: import_module(f"{__package__}.{name}") for name in method.terms}
    arguments: tuple[Any, ...] = (domains, network.architecture.hidden, steps, config.options)
    return {name: module.Term(*arguments, beside_pairs=method.pairs) for name, module in modules.items()}
