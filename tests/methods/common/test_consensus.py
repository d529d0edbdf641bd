"""Consensus of spectral clusterings: what it makes of right, wrong and no similarities."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.methods.ccn import Training, agreed
from clusterkit.methods.common.consensus import LESS, consensus, eigenvectors, sigmoid
from clusterkit.metrics.clustering import accuracy
from clusterkit.metrics.k_estimates import cut, linkage_tree
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.links import Link, closure
from clusterkit.pairs.source import PairSource
from tests.problems import case

Array = np.ndarray


def told(labels: Array, wrong: float, seed: int = 0) -> Array:
    """Logits (N, N) of 4 or -4 by the labels, a share of them wrong."""
    rng = np.random.default_rng(seed)
    similar = labels[:, None] == labels
    flipped = np.triu(rng.random(similar.shape) < wrong, 1)
    logits: Array = np.where(similar ^ flipped ^ flipped.T, 4.0, -4.0)
    return logits


@pytest.mark.parametrize("wrong", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 5, 12])
def test_groups_are_found_where_a_share_of_the_pairs_is_wrong(wrong: float, classes: int) -> None:
    labels = np.arange(classes).repeat(20)
    groups = cut(linkage_tree(consensus(told(labels, wrong), 0)), 0.5)
    assert accuracy(groups, labels) == 1.0


def test_missing_similarities_are_made_up_for() -> None:
    labels = np.arange(10).repeat(20)
    rng = np.random.default_rng(0)
    missing = np.triu(rng.random((200, 200)) < 0.4, 1)
    logits = np.where(missing | missing.T, -4.0, told(labels, 0.01))
    alike = labels[:, None] == labels
    assert ((logits > 0) == alike)[alike].mean() < 0.62
    assert ((consensus(logits, 0) > 0.5) == alike)[alike].mean() > 0.95


@given(st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_shares_are_shares(count: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 4, (count, count))
    logits = logits + logits.T
    shares = consensus(logits, seed)
    assert shares.shape == logits.shape
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_array_equal(shares, shares.T)
    np.testing.assert_array_equal(shares, consensus(logits, seed))


@pytest.mark.parametrize("logit", [-9.0, 9.0])
def test_one_group_or_none_leaves_the_probabilities(logit: float) -> None:
    logits = np.full((30, 30), logit)
    np.testing.assert_array_equal(consensus(logits, 0), sigmoid(logits - LESS))


def test_eigenvectors_solve_the_problem() -> None:
    values = np.random.default_rng(0).random((30, 30))
    affinity = (values + values.T) / 2
    vectors = eigenvectors(affinity, 4)
    np.fill_diagonal(affinity, 1)
    degree = affinity.sum(1)
    scaled = affinity / np.sqrt(np.outer(degree, degree))
    every = np.linalg.eigvalsh(scaled)[::-1]
    assert np.abs(scaled @ vectors - vectors * every[:4]).max() < 1e-8
    assert np.abs(vectors.T @ vectors - np.eye(4)).max() < 1e-8


def training(pairs: PairSource, folder: Path) -> Training:
    asked = case("ccn", torch.zeros(60, 2), pairs, 4, folder)
    return Training(asked.items, pairs, 4, asked.options, asked.run)


def test_what_a_user_knows_stays(tmp_path: Path) -> None:
    labels = np.arange(4).repeat(15)
    ids = torch.arange(60)
    links = closure([Link(0, 59, True, 1), Link(0, 1, False, 2)], 60)
    pairs = constrain(DensePairs(torch.from_numpy(told(labels, 0.05))), links)
    logits = agreed(training(pairs, tmp_path))[0].logits(ids, ids).numpy()
    assert logits[0, 59] == logits[59, 0] == 16
    assert logits[0, 1] == logits[1, 0] == -16
    alike = labels[:, None] == labels
    alike[0, 59] = alike[59, 0] = True
    alike[0, 1] = alike[1, 0] = False
    assert ((logits > 0) == alike).all()


def test_a_prediction_as_sure_as_a_user_is_still_a_prediction(tmp_path: Path) -> None:
    labels = np.arange(4).repeat(15)
    ids = torch.arange(60)
    logits = told(labels, 0.0)
    logits[0, 1] = logits[1, 0] = -16
    logits[0, 59] = logits[59, 0] = 16
    found = agreed(training(DensePairs(torch.from_numpy(logits)), tmp_path))[0].logits(ids, ids)
    assert found[0, 1] > 0
    assert found.abs().max() < 14, "the consensus is never quite sure"
