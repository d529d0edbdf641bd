"""The constrained clustering network: clusters learned end to end from pairs (L2C, section 4.2)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from clusterkit.augment import augment
from clusterkit.config import Loss
from clusterkit.device import derive_seed, seeded, send
from clusterkit.distributed import share
from clusterkit.losses import LOSSES
from clusterkit.methods.common.consensus import LARGEST, consensus
from clusterkit.methods.common.g_features import Draw, augmented_features, on_target
from clusterkit.methods.common.problem import Clustering, Problem
from clusterkit.networks.build import HIDDEN, Architecture, ClusterNet, SimilarityNet
from clusterkit.networks.predict import limit_of, mean_and_std, predict
from clusterkit.pairs.clusters import ClusterPairs, confirmed, nearest
from clusterkit.pairs.constraints import in_place_of
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.source import PairSource, logit_matrix
from clusterkit.sampling import Shuffled
from clusterkit.training import Plan, batches_of, fit

log = logging.getLogger("clusterkit")

DROPOUT = {Loss.CCL: 0.5, Loss.KCL: 0.2}
"""Of the hidden layer on G's features, which would otherwise learn the wrong pairs by heart."""
EPSILON = 1e-6
"""By how much the probability of a pair differs from 0 and 1."""
BATCH, ON_FEATURES = 100, 200
"""Images in a batch of whole networks, and where only the head on G's features is trained."""
BATCHES = {Loss.CCL: 400, Loss.KCL: 800}
"""On how many batches the head on G's features is trained."""
RESTARTS = {Loss.CCL: 3, Loss.KCL: 1}
"""How many such heads are trained, to keep the one of least loss: others merge clusters that the pairs hold apart."""
MEETINGS = 7.5
"""How often each pair of images shares a batch: large sets, where a batch holds few similar pairs, need more of it."""
SHORTEST = 250
"""Batches that even the smallest set is trained on: before, clusters are still merged."""
LONGEST = 5000
"""Batches after which a large set has been trained on enough all the same."""


def ccn(problem: Problem) -> Clustering:
    """Train a network of K outputs with a pair loss on random batches, and assign each item its largest output.

    The network is G's backbone, which stays as it is, and a new hidden layer and outputs, which see each item in
    several augmented views, and its pairs are what all of G's say together; with CCL the best by the loss of several
    starts. Without a G it is trained whole, from random weights of the backbone configured or from the backbone of the
    network to start from. Pairs were predicted once, on clean images, and are binarised at probability one half. Each
    further round trains such a network anew, on the pairs of the clustering before that the items' nearest neighbours
    confirm. Cost: `consensus` and 5 N images through G's backbone, or epochs times N through a network and back.
    """
    given = problem.pairs
    assert given is not None
    pairs = (given if problem.g is None else agreed(problem)).to(problem.device)
    problem = replace(problem, subset=problem.subset.to(problem.device), pairs=pairs)
    train = _whole if problem.g is None else _heads(problem, problem.g)
    found = train(problem, "")
    return found if problem.config.rounds == 1 else _rounds(problem, given, train, found)


def _rounds(
    problem: Problem, given: PairSource, train: Callable[[Problem, str], Clustering], found: Clustering
) -> Clustering:
    """Return what the last round makes of a first clustering; in each, what a user knows stays as it was given."""
    name, near = problem.subset.name, nearest(problem.subset)
    for number in range(2, problem.config.rounds + 1):
        cluster = confirmed(found.prob, near)
        title, share_known = f", round {number}", 100 * (cluster >= 0).mean()
        log.info("cluster %s%s: %.1f %% of the items confirmed", name, title, share_known)
        if len(np.unique(cluster[cluster >= 0])) < 2:
            log.info("cluster %s: too few to go on; the clustering is that of round %d", name, number - 1)
            break
        pairs = in_place_of(given, ClusterPairs(torch.from_numpy(cluster).to(problem.device)))
        found = train(replace(problem, pairs=pairs), title)
    return found


def _heads(problem: Problem, g: SimilarityNet) -> Callable[[Problem, str], Clustering]:
    """Return a function that trains heads on G's features and takes that of the least loss."""
    g = on_target(g, problem.subset, problem.bn, problem.device)
    views = seeded(problem.seed, "views", problem.subset.name)
    draw = augmented_features(g, problem.subset, problem.kind, views, problem.device, problem.config.variation)
    sampler = _sampler(problem, ON_FEATURES)

    def train(problem: Problem, title: str) -> Clustering:
        titles = [title, *(f"{title}, restart {number}" for number in range(1, RESTARTS[problem.config.loss]))]
        tries = [_on_features(problem, g, draw, sampler, each) for each in titles]
        return _assigned(problem, min(tries, key=lambda found: found[0])[1])

    return train


def _on_features(
    problem: Problem, g: SimilarityNet, draw: Draw, sampler: Shuffled, title: str
) -> tuple[float, ClusterNet]:
    """Train a head on G's features; return its mean loss in the last tenth of the epochs, and the whole network."""
    dropout = DROPOUT[problem.config.loss]
    network = _network(problem, replace(g.architecture, hidden=HIDDEN, outputs=problem.k), title)
    network.backbone.load_state_dict(g.backbone.state_dict())

    def batches(generator: torch.Generator) -> Iterator[Tensor]:
        return (send(index, problem.device) for index in sampler.epoch(generator))

    def step(index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        own = share(len(index)).rows
        *hidden, outputs = network.head
        # Drawn for the whole batch, of which each of several processes has a part.
        kept = torch.rand(len(index), HIDDEN, generator=generator) >= dropout
        seen = nn.Sequential(*hidden)(draw(index, generator)[own]) * send(kept, index.device)[own] / (1 - dropout)
        return {"loss": _loss(problem, outputs(seen), index)}

    epochs = max(1, round(BATCHES[problem.config.loss] / sampler.steps))
    history = fit(network.head, batches, step, _plan(problem, sampler, epochs, title))
    last = history[-max(1, len(history) // 10) :]
    return sum(means["loss"] for means in last) / len(last), network


def _whole(problem: Problem, title: str) -> Clustering:
    subset, start = problem.subset, problem.start
    if start is None:
        mean, std = mean_and_std(subset)
        limit = limit_of(problem.shape)
        architecture = Architecture(problem.config.backbone, problem.shape, mean, std, HIDDEN, problem.k, limit=limit)
        network = _network(problem, architecture, title)
    else:
        network = _network(problem, replace(start.architecture, hidden=HIDDEN, outputs=problem.k), title)
        network.backbone.load_state_dict(start.backbone.state_dict())
    sampler = _sampler(problem, BATCH, title)

    def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        index, items = batch
        logits = network(augment(items, problem.kind, generator, share(len(index)), problem.config.variation))
        return {"loss": _loss(problem, logits, index)}

    plan = _plan(problem, sampler, default_epochs(sampler), title)
    fit(network, lambda generator: batches_of(subset, sampler, generator, problem.device), step, plan)
    return _assigned(problem, network)


def _network(problem: Problem, architecture: Architecture, title: str) -> ClusterNet:
    torch.manual_seed(derive_seed(problem.seed, "ccn", problem.subset.name + title))
    return ClusterNet(architecture).to(problem.device)


def _sampler(problem: Problem, usual: int, title: str = "") -> Shuffled:
    count, wanted = len(problem.subset), problem.config.batch_size or usual
    if count < wanted:
        log.info("cluster %s%s: batches of %d, all there are", problem.subset.name, title, count)
    return Shuffled(count, min(wanted, count))


def _loss(problem: Problem, logits: Tensor, index: Tensor) -> Tensor:
    """Return the pair loss of this process's rows of a batch: `logits` of its items, `index` (B,) of all."""
    assert problem.pairs is not None
    pairs = problem.pairs.logits(index[share(len(index)).rows], index)
    # 1 above zero and 0 elsewhere; what is not known is NaN, and stays so.
    return LOSSES[problem.config.loss](logits, pairs.clamp(0, 1).ceil().to(logits), problem.config.sigma)


def _plan(problem: Problem, sampler: Shuffled, epochs: int, title: str) -> Plan:
    config = problem.config
    return Plan(
        f"cluster {problem.subset.name}{title}",
        config.epochs or epochs,
        sampler.steps,
        config.learning_rate,
        problem.seed,
        problem.state.with_stem(problem.state.stem + title),
        problem.key,
        problem.resume,
        config.precision,
        config.optimizer,
        config.drop_every,
    )


def _assigned(problem: Problem, network: ClusterNet) -> Clustering:
    prob = predict(network, problem.subset, problem.device)
    return Clustering(prob.argmax(1).int().numpy(), prob.numpy(), network)


def agreed(problem: Problem) -> PairSource:
    """Return what the consensus of all pairs says of each, in sets small enough; what a user knows stays as it is."""
    pairs = problem.pairs
    assert pairs is not None
    if len(pairs) > LARGEST:
        return pairs
    logits = logit_matrix(pairs, torch.arange(len(pairs))).double()
    shares = consensus(logits.numpy(), derive_seed(problem.seed, "consensus", problem.subset.name))
    return in_place_of(pairs, DensePairs(torch.from_numpy(shares).logit(EPSILON).float()))


def default_epochs(sampler: Shuffled) -> int:
    """Return after how many epochs each pair has met often enough: a batch of B of N holds (B / N)^2 of all pairs."""
    steps = max(SHORTEST, MEETINGS * (sampler.count / sampler.batch_size) ** 2)
    return max(1, round(min(steps, LONGEST) / sampler.steps))
