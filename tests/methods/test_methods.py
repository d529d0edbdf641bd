"""Every method is perfect with perfect pairs, and gives the same result twice."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterkit.config import Backbone
from clusterkit.losses import Loss
from clusterkit.losses.kcl import kcl
from clusterkit.methods import METHODS, reads_pairs
from clusterkit.methods.ccn import LONGEST, SHORTEST, Training, _loss, default_epochs
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.labels import LabelPairs
from clusterkit.sampling import Shuffled
from clusterkit.training import History, fit
from tests.groups import plain_groups, two_groupings
from tests.problems import Case, case


def separated(folder: Path, **options: Any) -> Case:
    """Four far-off groups of 30 points in the plane."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(30)
    centres = torch.tensor([[5.0, 5.0], [5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]])
    points = centres[labels] + 0.3 * torch.randn(120, 2, generator=generator)
    return case("ccn", points, LabelPairs(labels), 4, folder, labels, **{"epochs": 40, "batch_size": 60, **options})


def told_by_pairs(folder: Path, **options: Any) -> Case:
    """Four classes of 20 items, of which the values show others more plainly."""
    labels = torch.arange(80) % 4
    points = torch.from_numpy(two_groupings(labels.numpy())).float()
    return case("ccn", points, LabelPairs(labels), 4, folder, labels, **{"epochs": 40, "batch_size": 60, **options})


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.joint and name != "c2m"])
def test_pairs_tell_the_groups_and_without_them_the_values_do(method: str, tmp_path: Path) -> None:
    asked = told_by_pairs(tmp_path).by(method)
    result = asked.clustered()
    labels = np.arange(80) % 4
    assert accuracy(result.cluster, labels if reads_pairs(asked.config) else plain_groups(labels)) == 1.0
    assert result.prob.shape == (80, 4)
    np.testing.assert_allclose(result.prob.sum(1), 1, atol=1e-5)
    assert (result.prob.argmax(1) == result.cluster).all()
    again = asked.clustered()
    assert (again.cluster == result.cluster).all()
    assert (again.prob == result.prob).all()


def test_kcl_finds_them_too(tmp_path: Path) -> None:
    assert accuracy(told_by_pairs(tmp_path, loss=Loss.KCL).clustered().cluster, np.arange(80) % 4) == 1.0


def test_pairs_of_which_nothing_is_known_stay_out_of_the_loss(tmp_path: Path) -> None:
    asked = separated(tmp_path, loss=Loss.KCL)
    pairs = torch.tensor([[16.0, torch.nan, -0.1], [torch.nan, 16.0, 0.0], [-0.1, 0.0, 0.3]])
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    training = Training(asked.items, DensePairs(pairs), 4, asked.options, asked.run)
    expected = kcl(logits, torch.tensor([[1, torch.nan, 0], [torch.nan, 1, 0], [0, 0, 1]]))
    assert _loss(training, logits, torch.arange(3)) == expected


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
    torch.manual_seed(0)
    g = SimilarityNet(Architecture(Backbone.MLP, (2,), (0.0,) * 2, (1.0,) * 2, 16))
    asked = separated(tmp_path, epochs=3).having(g=g)
    losses: list[tuple[float, list[torch.Tensor]]] = []

    def remembered(network: nn.Module, *rest: Any) -> History:
        history = fit(network, *rest)
        losses.append((history[-1]["loss"], [value.clone() for value in network.parameters()]))
        return history

    ccn = import_module("clusterkit.methods.ccn")
    monkeypatch.setattr(ccn, "fit", remembered)
    monkeypatch.setattr(ccn, "RESTARTS", {Loss.CCL: 5})
    network = asked.clustered().network
    assert network is not None
    assert len({loss for loss, _ in losses}) == 5
    assert losses[0][0] > min(losses)[0], "or the test tells nothing"
    for value, best in zip(network.head.parameters(), min(losses)[1], strict=True):
        assert torch.equal(value, best)
    assert len(list(tmp_path.iterdir())) == 5
