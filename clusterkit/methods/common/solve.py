"""Run of any method on any items, in random order, with the arrays that the method declares to read."""

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.augment import to_float
from clusterkit.config import ClusterConfig
from clusterkit.device import derive_seed
from clusterkit.methods import METHODS, function_of, reads_pairs, reads_values
from clusterkit.methods.common.declared import Reads
from clusterkit.methods.common.g_features import on_target
from clusterkit.methods.common.points import digests_of, numbered
from clusterkit.methods.common.problem import Array, Clustering, Items, Problem, Question, Run
from clusterkit.networks.predict import finite
from clusterkit.pairs.constraints import ConstrainedPairs
from clusterkit.pairs.links import Closure
from clusterkit.pairs.reordered import reordered
from clusterkit.pairs.source import PairSource, logit_matrix


def solve(config: ClusterConfig, items: Items, question: Question, run: Run) -> Clustering:
    """Cluster the items in a random order that follows from the seed; return the clusters in the order of the items.

    Methods break ties by position, and a folder is read class by class, so the order of a folder would affect the
    clusters. A method that trains a network takes the items, the question and the run; other methods take a problem of
    arrays.
    """
    generator = torch.Generator().manual_seed(derive_seed(run.seed, "order", items.subset.name))
    order = torch.randperm(len(items.subset), generator=generator)
    items = items.take(order)
    if question.pairs is not None:
        question = replace(question, pairs=reordered(question.pairs, order))
    function = function_of(config.method)
    if METHODS[config.method].trains:
        result: Clustering = function(items, question, run)
    else:
        result = function(problem_of(config, items, question, run))
    back = order.argsort().numpy()
    return replace(result, cluster=result.cluster[back], prob=result.prob[back])


def problem_of(config: ClusterConfig, items: Items, question: Question, run: Run) -> Problem:
    """Return the arrays that the method reads."""
    name, count = items.subset.name, len(items.subset)
    links = question.pairs.closure if isinstance(question.pairs, ConstrainedPairs) else None
    chosen = sample(count, getattr(question.options, "max_pairs", None), seed_of(run.seed, "sample", name), links)
    pairs: Array = np.zeros((0, 0))
    if reads_pairs(config) and question.pairs is not None:
        binary = METHODS[config.method].pairs is Reads.SIGNS
        pairs = signs(question.pairs, chosen) if binary else probabilities(question.pairs)
    return Problem(
        values=values(items, run.device) if reads_values(config) else np.zeros((count, 0)),
        pairs=pairs,
        chosen=chosen,
        k=question.k,
        options=question.options,
        seed=seed_of(run.seed, config.method, name),
        title=name,
        features=items.g is not None or items.start is not None,
        links=links,
        alone=isinstance(question.pairs, ConstrainedPairs) and question.pairs.alone,
    )


def seed_of(seed: int, purpose: str, name: str) -> int:
    """Return the seed of a method's random choices on a subset, as scikit-learn takes it."""
    return derive_seed(seed, purpose, name) % 2**32


def sample(count: int, max_pairs: int | None, seed: int, links: Closure | None = None) -> NDArray[np.int64]:
    """Return the positions of the items whose pairs are used: all, or as many random ones as `max_pairs` allows.

    All linked items are among them, even if they are more.
    """
    if max_pairs is None or count**2 <= max_pairs:
        return np.arange(count)
    size, rng = math.isqrt(max_pairs), np.random.default_rng(seed)
    if links is None:
        return np.sort(rng.choice(count, size, replace=False))
    linked, others = np.flatnonzero(links.linked), np.flatnonzero(~links.linked)
    return np.sort(np.r_[linked, rng.choice(others, min(len(others), max(0, size - len(linked))), replace=False)])


def values(items: Items, device: torch.device) -> Array:
    """Return the values (N, D) of the items: their pixels, or features by the backbone of a network.

    G normalises as when its pairs were predicted, and another network by the statistics of its training. Items with
    equal pixels have features that are equal to the last bit.
    """
    network = items.start
    if items.g is not None:
        network = on_target(items.g, items.subset, items.bn, device)
    elif network is not None:
        # A copy, so that the original does not stay on the device.
        network = copy.deepcopy(network).to(device).eval()
    matrix: Array = np.empty((0, 0))
    digests: list[bytes] = []
    start = 0
    with torch.no_grad():
        for block in items.subset.blocks(device if network is not None else "cpu"):
            pixels = to_float(block)
            rows = pixels if network is None else finite(network.features(pixels))
            rows = rows.flatten(1)
            if not start:
                # Filled block by block, so that no other copy of all values is in memory.
                matrix = np.empty((len(items.subset), rows.shape[1]))
            matrix[start : start + len(rows)] = rows.cpu().numpy()
            start += len(rows)
            if network is not None:
                digests += digests_of(pixels.flatten(1).cpu().numpy())
    if network is None:
        return matrix
    # A network may round the same image differently in blocks of different sizes.
    same = numbered(digests)
    first = np.unique(same, return_index=True)[1]
    return matrix if len(first) == len(matrix) else matrix[first][same]


def probabilities(pairs: PairSource) -> Array:
    """Return the probability (N, N) of each pair to be similar, symmetric, one half for an unknown pair."""
    positions = np.arange(len(pairs))
    return torch.nan_to_num(_logits(pairs, positions), 0.0).sigmoid_().numpy()


def signs(pairs: PairSource, chosen: NDArray[np.int64]) -> Array:
    """Return the pairs (M, M) of the items at positions (M,), symmetric and binarised.

    1 stands for similar, -1 for dissimilar, 0 for unknown. Self-pairs are 0. A linked pair may weigh more or less.
    """
    matrix: Array = torch.nan_to_num(_logits(pairs, chosen), 0.0).sign_().fill_diagonal_(0).numpy()
    if isinstance(pairs, ConstrainedPairs) and pairs.weight is not None:
        positions = torch.from_numpy(chosen)
        matrix[(pairs.links(positions, positions) != 0).numpy()] *= pairs.weight
    return matrix


def _logits(pairs: PairSource, chosen: NDArray[np.int64]) -> torch.Tensor:
    """Return the logits (M, M) of all pairs of items, the mean of both orders."""
    logits = logit_matrix(pairs, torch.from_numpy(chosen)).double()
    return (logits + logits.T) / 2
