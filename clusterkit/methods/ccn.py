"""The constrained clustering network: clusters learned end to end from pairs (L2C, section 4.2)."""

import logging

import torch
from torch import Tensor

from clusterkit.augment import augment
from clusterkit.device import derive_seed
from clusterkit.distributed import share
from clusterkit.losses import LOSSES
from clusterkit.methods.problem import Clustering, Problem
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.predict import mean_and_std, predict
from clusterkit.sampling import Shuffled
from clusterkit.training import Plan, batches_of, fit

log = logging.getLogger("clusterkit")

HIDDEN = 512
MEETINGS = 7.5
"""How often each pair of images shares a batch: large sets, where a batch holds few similar pairs, need more of it."""
SHORTEST = 250
"""Batches that even the smallest set is trained on: before, clusters are still merged."""
LONGEST = 5000
"""Batches after which a large set has been trained on enough all the same."""


def ccn(problem: Problem) -> Clustering:
    """Train a network of K outputs with a pair loss on random batches, and assign each item its largest output.

    The network starts from random weights. Pairs were predicted once, on clean images, and are binarised at
    probability one half; each batch is augmented. Cost: epochs times N images through the network.
    """
    config, subset = problem.config, problem.subset.to(problem.device)
    assert problem.pairs is not None
    pairs = problem.pairs.to(problem.device)
    mean, std = mean_and_std(subset)
    torch.manual_seed(derive_seed(problem.seed, "ccn", subset.name))
    architecture = Architecture(config.backbone, problem.shape, mean, std, HIDDEN, problem.k)
    network = ClusterNet(architecture).to(problem.device)
    loss = LOSSES[config.loss]
    sampler = Shuffled(len(subset), min(config.batch_size, len(subset)))
    if sampler.batch_size < config.batch_size:
        log.info("cluster %s: batches of %d, all there are", subset.name, len(subset))

    def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        index, items = batch
        own = share(len(index))
        similar = (pairs.logits(index[own.rows], index) > 0).to(items)
        logits = network(augment(items, problem.kind, generator, own))
        return {"loss": loss(logits, similar, config.sigma)}

    plan = Plan(
        f"cluster {subset.name}",
        config.epochs or default_epochs(sampler),
        sampler.steps,
        config.learning_rate,
        problem.seed,
        problem.state,
        problem.key,
        problem.resume,
        config.precision,
    )
    fit(network, lambda generator: batches_of(subset, sampler, generator, problem.device), step, plan)
    prob = predict(network, subset, problem.device)
    return Clustering(prob.argmax(1).int().numpy(), prob.numpy(), network)


def default_epochs(sampler: Shuffled) -> int:
    """Return after how many epochs each pair has met often enough: a batch of B of N holds (B / N)^2 of all pairs."""
    steps = max(SHORTEST, MEETINGS * (sampler.count / sampler.batch_size) ** 2)
    return max(1, round(min(steps, LONGEST) / sampler.steps))
