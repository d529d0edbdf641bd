"""The constrained clustering network: clusters learned end to end from pairs (L2C, section 4.2)."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from clusterkit.augment import augment
from clusterkit.config import Loss
from clusterkit.device import derive_seed, seeded, send
from clusterkit.distributed import share
from clusterkit.losses import LOSSES
from clusterkit.methods.g_features import augmented_features, on_target
from clusterkit.methods.problem import Clustering, Problem
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.predict import mean_and_std, predict
from clusterkit.sampling import Shuffled
from clusterkit.training import Plan, batches_of, fit

log = logging.getLogger("clusterkit")

HIDDEN = 512
DROPOUT = {Loss.CCL: 0.5, Loss.KCL: 0.2}
"""Of the hidden layer on G's features, which would otherwise learn the wrong pairs by heart."""
LEAST = 1.0
"""From which logit on a pair may be similar: in a large set similar pairs are rarer than in G's batches."""
LOOKED_AT = 2000
"""Items from whose pairs it is read how sure G is of those it calls similar."""
BATCH, ON_FEATURES = 100, 200
"""Images in a batch of whole networks, and where only the head on G's features is trained."""
BATCHES = {Loss.CCL: 200, Loss.KCL: 800}
"""On how many batches the head on G's features is trained."""
MEETINGS = 7.5
"""How often each pair of images shares a batch: large sets, where a batch holds few similar pairs, need more of it."""
SHORTEST = 250
"""Batches that even the smallest set is trained on: before, clusters are still merged."""
LONGEST = 5000
"""Batches after which a large set has been trained on enough all the same."""


def ccn(problem: Problem) -> Clustering:
    """Train a network of K outputs with a pair loss on random batches, and assign each item its largest output.

    The network is G's backbone, which stays as it is, and a new hidden layer and outputs, which see each item in
    several augmented views; without a G it is of the backbone configured and trained from random weights. Pairs were
    predicted once, on clean images, and are binarised at probability one half; on G's features CCL leaves out those
    of which G is not sure. Cost: 5 N images through G's backbone, or epochs times N through a network and
    back.
    """
    assert problem.pairs is not None
    pairs = problem.pairs.to(problem.device)
    problem = replace(problem, subset=problem.subset.to(problem.device), pairs=pairs)
    if problem.g is None:
        return _from_random_weights(problem)
    dropout, unsure = DROPOUT[problem.config.loss], unsure_of(problem)
    g = on_target(problem.g, problem.subset, problem.bn, problem.device)
    network = _network(problem, replace(g.architecture, hidden=HIDDEN, outputs=problem.k))
    network.backbone.load_state_dict(g.backbone.state_dict())
    views = seeded(problem.seed, "views", problem.subset.name)
    draw = augmented_features(g, problem.subset, problem.kind, views, problem.device)
    sampler = _sampler(problem, ON_FEATURES)

    def batches(generator: torch.Generator) -> Iterator[Tensor]:
        return (send(index, problem.device) for index in sampler.epoch(generator))

    def step(index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        own = share(len(index)).rows
        *hidden, outputs = network.head
        # Drawn for the whole batch, of which each of several processes has a part.
        kept = torch.rand(len(index), HIDDEN, generator=generator) >= dropout
        seen = nn.Sequential(*hidden)(draw(index, generator)[own]) * send(kept, index.device)[own] / (1 - dropout)
        return {"loss": _loss(problem, outputs(seen), index, unsure)}

    epochs = max(1, round(BATCHES[problem.config.loss] / sampler.steps))
    fit(network.head, batches, step, _plan(problem, sampler, epochs))
    return _assigned(problem, network)


def _from_random_weights(problem: Problem) -> Clustering:
    subset = problem.subset
    mean, std = mean_and_std(subset)
    architecture = Architecture(problem.config.backbone, problem.shape, mean, std, HIDDEN, problem.k)
    network = _network(problem, architecture)
    sampler = _sampler(problem, BATCH)

    def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        index, items = batch
        logits = network(augment(items, problem.kind, generator, share(len(index))))
        return {"loss": _loss(problem, logits, index, (0, 0))}

    plan = _plan(problem, sampler, default_epochs(sampler))
    fit(network, lambda generator: batches_of(subset, sampler, generator, problem.device), step, plan)
    return _assigned(problem, network)


def _network(problem: Problem, architecture: Architecture) -> ClusterNet:
    torch.manual_seed(derive_seed(problem.seed, "ccn", problem.subset.name))
    return ClusterNet(architecture).to(problem.device)


def _sampler(problem: Problem, usual: int) -> Shuffled:
    count, wanted = len(problem.subset), problem.config.batch_size or usual
    if count < wanted:
        log.info("cluster %s: batches of %d, all there are", problem.subset.name, count)
    return Shuffled(count, min(wanted, count))


def _loss(problem: Problem, logits: Tensor, index: Tensor, unsure: tuple[float, float]) -> Tensor:
    """Return the pair loss of this process's rows of a batch: `logits` of its items, `index` (B,) of all.

    Pairs whose logits are between the two of `unsure` are left out.
    """
    assert problem.pairs is not None
    pairs = problem.pairs.logits(index[share(len(index)).rows], index).to(logits)
    low, high = unsure
    similar = (pairs > high).to(logits).masked_fill_((pairs > low) & (pairs <= high), torch.nan)
    return LOSSES[problem.config.loss](logits, similar, problem.config.sigma)


def _plan(problem: Problem, sampler: Shuffled, epochs: int) -> Plan:
    config = problem.config
    return Plan(
        f"cluster {problem.subset.name}",
        config.epochs or epochs,
        sampler.steps,
        config.learning_rate,
        problem.seed,
        problem.state,
        problem.key,
        problem.resume,
        config.precision,
    )


def _assigned(problem: Problem, network: ClusterNet) -> Clustering:
    prob = predict(network, problem.subset, problem.device)
    return Clustering(prob.argmax(1).int().numpy(), prob.numpy(), network)


def unsure_of(problem: Problem) -> tuple[float, float]:
    """Return between which logits a pair is left out for a network on G's features: up to the first it is dissimilar.

    With CCL a wrong similar pair merges two clusters, while one that is left out is made up for by the others of its
    cluster: only the surer half of the pairs that may be similar count as such, whatever the scale of G's logits.
    KCL rather splits clusters.
    """
    if problem.config.loss is Loss.KCL:
        return 0.0, 0.0
    assert problem.pairs is not None
    generator = seeded(problem.seed, "unsure", problem.subset.name)
    some = send(torch.randperm(len(problem.subset), generator=generator)[:LOOKED_AT], problem.device)
    logits = problem.pairs.logits(some, some)
    similar = logits[(logits > LEAST) & ~torch.eye(len(some), dtype=torch.bool, device=logits.device)]
    return LEAST, float(similar.median()) if len(similar) else LEAST


def default_epochs(sampler: Shuffled) -> int:
    """Return after how many epochs each pair has met often enough: a batch of B of N holds (B / N)^2 of all pairs."""
    steps = max(SHORTEST, MEETINGS * (sampler.count / sampler.batch_size) ** 2)
    return max(1, round(min(steps, LONGEST) / sampler.steps))
