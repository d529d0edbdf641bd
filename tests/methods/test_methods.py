"""Every method is perfect with perfect pairs, and gives the same result twice."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterkit.config import Backbone, ClusterConfig, Kind, Loss, Method
from clusterkit.datasets.base import Subset
from clusterkit.losses.kcl import kcl
from clusterkit.methods import METHODS
from clusterkit.methods.ccn import LONGEST, SHORTEST, _loss, default_epochs
from clusterkit.methods.common.problem import Problem
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.labels import LabelPairs
from clusterkit.sampling import Shuffled
from clusterkit.training import History, fit
from tests.groups import plain_groups, two_groupings


def separated(folder: Path, loss: Loss = Loss.CCL) -> Problem:
    """Four far-off groups of 30 points in the plane."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(30)
    centres = torch.tensor([[5.0, 5.0], [5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]])
    points = centres[labels] + 0.3 * torch.randn(120, 2, generator=generator)
    subset = Subset("all", points, torch.arange(120), labels)
    config = ClusterConfig(backbone=Backbone.MLP, loss=loss, epochs=40, batch_size=60)
    return Problem(
        subset, Kind.VECTORS, (2,), 4, LabelPairs(labels), config, 0, torch.device("cpu"), folder / "state", "key"
    )


def told_by_pairs(folder: Path, loss: Loss = Loss.CCL) -> Problem:
    """Four classes of 20 items, of which the values show others more plainly."""
    problem, labels = separated(folder, loss), np.arange(80) % 4
    subset = Subset("all", torch.from_numpy(two_groupings(labels)).float(), torch.arange(80), torch.from_numpy(labels))
    return replace(problem, subset=subset, shape=(8,), pairs=LabelPairs(torch.from_numpy(labels)))


@pytest.mark.parametrize("method", list(Method))
def test_pairs_tell_the_groups_and_without_them_the_values_do(method: Method, tmp_path: Path) -> None:
    problem = told_by_pairs(tmp_path)
    result = METHODS[method](problem)
    assert problem.subset.labels is not None
    labels = problem.subset.labels.numpy()
    expected = labels if replace(problem.config, method=method).uses_pairs else plain_groups(labels)
    assert accuracy(result.cluster, expected) == 1.0
    assert result.prob.shape == (80, 4)
    np.testing.assert_allclose(result.prob.sum(1), 1, atol=1e-5)
    assert (result.prob.argmax(1) == result.cluster).all()
    again = METHODS[method](problem)
    assert (again.cluster == result.cluster).all()
    assert (again.prob == result.prob).all()


def test_kcl_finds_them_too(tmp_path: Path) -> None:
    problem = told_by_pairs(tmp_path, Loss.KCL)
    assert problem.subset.labels is not None
    assert accuracy(METHODS[Method.CCN](problem).cluster, problem.subset.labels.numpy()) == 1.0


def test_pairs_of_which_nothing_is_known_stay_out_of_the_loss(tmp_path: Path) -> None:
    problem = separated(tmp_path, Loss.KCL)
    pairs = torch.tensor([[16.0, torch.nan, -0.1], [torch.nan, 16.0, 0.0], [-0.1, 0.0, 0.3]])
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    found = _loss(replace(problem, pairs=DensePairs(pairs)), logits, torch.arange(3))
    assert found == kcl(logits, torch.tensor([[1, torch.nan, 0], [torch.nan, 1, 0], [0, 0, 1]]))


def test_default_length_lets_pairs_meet_equally_often() -> None:
    meetings = []
    for count in (600, 900, 1500):
        sampler = Shuffled(count, 100)
        meetings.append(default_epochs(sampler) * sampler.steps * (100 / count) ** 2)
    assert max(meetings) / min(meetings) < 1.1


@pytest.mark.parametrize("count", [50, 120, 280, 400, 60_000])
def test_default_length_is_neither_too_short_nor_too_long(count: int) -> None:
    sampler = Shuffled(count, min(count, 100))
    steps = default_epochs(sampler) * sampler.steps
    assert SHORTEST - sampler.steps <= steps <= LONGEST + sampler.steps
    assert count > 400 or steps <= SHORTEST + sampler.steps


def test_of_several_heads_on_g_that_of_least_loss_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = separated(tmp_path)
    torch.manual_seed(0)
    g = SimilarityNet(Architecture(Backbone.MLP, (2,), (0.0,) * 2, (1.0,) * 2, 16))
    problem = replace(problem, g=g, config=replace(problem.config, epochs=3))
    losses: list[tuple[float, list[torch.Tensor]]] = []

    def remembered(network: nn.Module, *rest: Any) -> History:
        history = fit(network, *rest)
        losses.append((history[-1]["loss"], [value.clone() for value in network.parameters()]))
        return history

    ccn = import_module("clusterkit.methods.ccn")
    monkeypatch.setattr(ccn, "fit", remembered)
    monkeypatch.setattr(ccn, "RESTARTS", {Loss.CCL: 5})
    network = METHODS[Method.CCN](problem).network
    assert network is not None
    assert len({loss for loss, _ in losses}) == 5
    assert losses[0][0] > min(losses)[0], "or the test tells nothing"
    for value, best in zip(network.head.parameters(), min(losses)[1], strict=True):
        assert torch.equal(value, best)
    assert len(list(tmp_path.iterdir())) == 5
