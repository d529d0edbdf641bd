"""A clustering network on fixed features learns the consensus of families of clusterings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from clusterkit.losses import Loss
from clusterkit.methods import ccn
from clusterkit.methods.ccn import Training, by_families
from clusterkit.methods.common import sample
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.pairs.constraints import ConstrainedPairs, constrain
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.links import Link, closure
from clusterkit.settings import Init
from tests.problems import Case, case

LABELS = np.repeat([0, 1, 2], [50, 30, 10])


def on_metric(folder: Path, links: list[Link] | None = None) -> Case:
    """Three classes of unequal size in eight fixed features, which G's metric leaves as they are."""
    generator = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.eye(8)[LABELS] + 0.15 * torch.randn(90, 8, generator=generator))
    g = SimilarityNet(Architecture(None, (8,), (0.0,) * 8, (1.0,) * 8, 1, width=8))
    pairs = constrain(CosinePairs(z, torch.tensor(10.0), torch.tensor(-5.0)), closure(links or [], len(z)))
    return case("ccn", z, pairs, 3, folder, init=Init.G, epochs=100).having(g=g)


def targets_of(asked: Case) -> NDArray[np.float32]:
    assert asked.question.pairs is not None
    assert asked.items.g is not None
    return by_families(Training(asked.items, asked.question.pairs, 3, asked.options, asked.run), asked.items.g)[0]


def test_the_network_sorts_as_the_consensus_does(tmp_path: Path) -> None:
    asked = on_metric(tmp_path)
    result = asked.clustered()
    assert accuracy(result.cluster, LABELS) == 1.0
    assert (targets_of(asked).argmax(1) == result.cluster).all()
    np.testing.assert_allclose(result.prob.sum(1), 1, atol=1e-5)
    assert result.network is not None
    with torch.no_grad():
        again = result.network.eval()(asked.items.subset.images)
    assert (again.argmax(1).numpy() == result.cluster).all()


@pytest.mark.parametrize("must", [True, False])
def test_links_hold_where_the_features_say_otherwise(must: bool, tmp_path: Path) -> None:
    links = [Link(0, 55, True, 1)] if must else [Link(0, 1, False, 1)]
    asked = on_metric(tmp_path, links)
    result = asked.clustered()
    cluster = result.cluster
    assert (result.prob.argmax(1) == cluster).all()
    # The network holds the links itself.
    assert result.network is not None
    with torch.no_grad():
        again = result.network.eval()(asked.items.subset.images)
    assert (again.argmax(1).numpy() == cluster).all()
    assert result.moved == 0
    assert bool(cluster[0] == cluster[55 if must else 1]) is must
    others = np.setdiff1d(np.arange(90), [0, 1, 55])
    assert accuracy(cluster[others], LABELS[others]) == 1.0


def test_the_sample_of_the_consensus_is_in_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = on_metric(tmp_path).by("ccn", epochs=1, rounds=2)
    assert asked.clustered().compared == 0
    monkeypatch.setattr(sample, "LARGEST", 60)
    assert asked.clustered().compared == 60


def test_what_the_network_cannot_hold_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = on_metric(tmp_path, [Link(0, 1, False, 1)])
    images = asked.items.subset.images.clone()
    images[1] = images[0]
    asked = asked.having(subset=replace(asked.items.subset, images=images)).by("ccn", epochs=4)
    result = asked.clustered()
    assert result.cluster[0] != result.cluster[1]
    assert result.moved >= 1
    assert f"items are not where assign puts them: {result.moved}" in caplog.text


def test_linked_items_weigh_as_the_user_says(tmp_path: Path) -> None:
    asked = on_metric(tmp_path, [Link(0, 1, False, 1)])
    assert isinstance(asked.question.pairs, ConstrainedPairs)
    for weight, ratio in ((None, ccn.HEAVIER), (9.0, 9.0)):
        pairs = replace(asked.question.pairs, weight=weight)
        weights = ccn._item_weights(Training(asked.items, pairs, 3, asked.options, asked.run), torch.arange(4))
        assert weights[0] / weights[3] == pytest.approx(ratio)
        assert weights.mean() == pytest.approx(1)


def test_targets_are_learned_without_a_pair_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccn, "BATCHES", {Loss.CCL: 4, Loss.KCL: 8})
    probs = [on_metric(tmp_path).by("ccn", loss=loss, epochs=None).clustered().prob for loss in Loss]
    np.testing.assert_array_equal(*probs)
