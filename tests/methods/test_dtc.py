"""DTC: its start by principal components, its terms in each variant, and what it refuses."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import Tensor

from clusterkit.distributed import Share
from clusterkit.losses.targets import risen, sharpened
from clusterkit.methods.common.centres import principal_axes, start_centres
from clusterkit.methods.common.joint import STARTS, Joint, Views
from clusterkit.methods.common.joint_options import Variant
from clusterkit.methods.dtc import DECAY, RISING, Consistent
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.predict import represent
from tests.cli.test_bad_input import fails
from tests.conftest import Cli
from tests.methods.test_joint import groups
from tests.problems import case

WEIGHT = 10.0


def joint_of(x: Tensor, k: int, folder: Path, **options: Any) -> Joint:
    asked = case("dtc", x, None, k, folder, **options)
    return Joint(asked.items, k, asked.options, asked.run, HeadKind.CENTRES, hidden=k)


@pytest.mark.parametrize(("items", "width"), [(50, 8), (20, 60), (30, 30)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_axes_are_those_of_scikit_learn(items: int, width: int, offset: float) -> None:
    generator = np.random.default_rng(0)
    values = offset + generator.standard_normal((items, width)) * np.geomspace(10, 1, width)
    expected = PCA(4, svd_solver="full").fit(values).components_
    np.testing.assert_allclose(np.abs((principal_axes(values, 4) * expected).sum(1)), 1, atol=1e-9)


def test_axes_are_no_more_than_the_rank() -> None:
    generator = np.random.default_rng(0)
    flat = generator.standard_normal((50, 3)) @ generator.standard_normal((3, 20))
    rounded = (1000 + flat).astype(np.float32).astype(np.float64)
    assert [len(principal_axes(values, 8)) for values in (flat, rounded, flat * 0, flat[:3])] == [3, 3, 0, 2]


def test_the_head_starts_at_the_centres_of_k_means(tmp_path: Path) -> None:
    x, labels = groups(1, 4)
    joint = joint_of(x, 4, tmp_path)
    start_centres(joint)
    values = joint.features()
    places = PCA(4, svd_solver="full").fit_transform(values)
    blocks = represent(joint.net.network, joint.subset, joint.run.device)
    hidden = torch.cat([values for values, _ in blocks]).double().numpy()
    np.testing.assert_allclose(np.abs(hidden), np.abs(places), atol=1e-4)
    found = KMeans(4, n_init=STARTS, random_state=joint.seed).fit(hidden)
    squares = np.square(hidden[:, None] - found.cluster_centers_).sum(2)
    weights = 1 / (1 + squares)
    order = [
        int(np.argmin(np.abs(found.cluster_centers_ - centre).sum(1)))
        for centre in joint.net.network.head[1].centres.detach().numpy()
    ]  # type: ignore[union-attr, operator]
    expected = (weights / weights.sum(1, keepdims=True))[:, order]
    np.testing.assert_allclose(joint.assignment().numpy(), expected, atol=1e-4)
    assert accuracy(joint.assignment().argmax(1).numpy(), labels.numpy()) == 1


def test_components_beyond_the_rank_are_said_and_stay_zero(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x, _ = groups(1, 6, each=10)
    flat = x[:, :2] @ torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    asked = case("dtc", flat, None, 6, tmp_path, epochs=3, warm_up=1)
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        network = asked.clustered().network
    assert "the features have rank 2, so 2 principal components are used instead of 6" in caplog.text
    assert network is not None
    weight = network.head[0].weight.detach()
    assert weight[:2].any(1).all()
    assert not weight[2:].any()


def batch(share: Share, k: int = 3) -> tuple[Views, Tensor]:
    """Two views of this process's share of five of eight items, and the assignment of all."""
    generator = torch.Generator().manual_seed(0)
    prob = torch.randn(8, k, generator=generator).double().softmax(1)
    logits = torch.randn(2, 5, k, generator=generator).double()[:, share.rows]
    index = torch.tensor([6, 1, 3, 0, 7])
    return Views(hidden=logits, logits=logits, source_logits=None, index=index, shard=share), prob


def expected_terms(views: Views, target: Tensor, other: Tensor | None, weight: float) -> list[float]:
    """This process's parts of both terms, written out item by item and cluster by cluster."""
    divergence = squares = 0.0
    q = views.logits[0].softmax(1)
    count, k = len(views.index), q.shape[1]
    for row, item in enumerate(views.index[views.shard.rows].tolist()):
        for c in range(k):
            p = float(target[item, c])
            divergence += p * (np.log(p) - np.log(float(q[row, c]))) / k / count
            squares += 0.0 if other is None else (float(q[row, c]) - float(other[row, c])) ** 2 / k / count
    return [divergence, weight * squares]


@pytest.mark.parametrize("variant", Variant)
def test_the_terms_of_the_first_epoch(variant: Variant) -> None:
    # With a temporal ensemble, a process needs the rows of all others.
    by_epochs = variant in (Variant.TE, Variant.TEP)
    views, prob = batch(Share(0, 5, 5) if by_epochs else Share(1, 4, 5))
    terms = Consistent(prob, variant, 5, WEIGHT)
    assert terms.views == (2 if variant is Variant.PI else 1)
    assert "clusters" not in terms.state_dict(), "only a training that may end early compares clusters"
    views = replace(views, logits=views.logits[: terms.views])
    other = views.logits[1].softmax(1) if variant is Variant.PI else None
    found = terms(views, None, None)
    expected = expected_terms(views, sharpened(prob), other, WEIGHT * np.exp(-5))
    assert list(found) == ["targets", "consistency"][: 1 if variant is Variant.BASELINE else 2]
    np.testing.assert_allclose([float(value) for value in found.values()], expected[: len(found)], rtol=1e-6)


@pytest.mark.parametrize("variant", [Variant.TE, Variant.TEP])
def test_the_ensemble_of_epochs_and_its_targets(variant: Variant, tmp_path: Path) -> None:
    x, _ = groups(1, 3, each=4)
    joint = joint_of(x[:8], 3, tmp_path)
    start_centres(joint)
    views, prob = batch(Share(0, 5, 5))
    terms = Consistent(prob, variant, 2, WEIGHT)
    order = torch.tensor([3, 1, 4, 0, 7, 6, 2, 5])
    predictions = [(epoch + torch.arange(24).view(8, 3).double().sin()).softmax(1) + 0.1 * epoch for epoch in range(3)]
    predictions = [q / q.sum(1, keepdim=True) for q in predictions]
    for epoch, q in enumerate(predictions, 1):
        whole = Views(
            hidden=q, logits=q[order].log()[None], source_logits=None, index=order, shard=Share(0, 8, 8)
        )  # fmt: skip
        terms(whole, None, None)
        terms.renew(epoch, joint)
    weights = [DECAY**age for age in (2, 1, 0)]
    mean = sum((w * q for w, q in zip(weights, predictions, strict=True)), torch.zeros(())) / sum(weights)
    torch.testing.assert_close(terms.ensemble, mean)
    # The targets were last renewed after the second epoch.
    of_two = (DECAY * predictions[0] + predictions[1]) / (DECAY + 1)
    target = sharpened(of_two if variant is Variant.TEP else joint.assignment().double())
    torch.testing.assert_close(terms.target, target, rtol=1e-6, atol=1e-6)
    found = terms(replace(views, logits=views.logits[:1]), None, None)
    rows = views.index[views.shard.rows]
    expected = expected_terms(views, target, mean[rows], WEIGHT * risen(3, RISING))
    np.testing.assert_allclose([float(value) for value in found.values()], expected, rtol=1e-5)


@pytest.mark.parametrize("variant", Variant)
def test_every_variant_finds_plain_groups(variant: Variant, tmp_path: Path) -> None:
    x, labels = groups(1, 4, each=20)
    result = case("dtc", x, None, 4, tmp_path, epochs=6, warm_up=2, variant=variant).clustered()
    assert accuracy(result.cluster, labels.numpy()) == 1
    assert [len(losses) for losses in result.history.values()] == [2, 6]
    assert list(result.history) == ["warm-up", "round 1"]


def test_items_that_are_all_equal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = case("dtc", torch.ones(20, 3), None, 4, tmp_path, epochs=1, warm_up=0).clustered()
    assert set(result.cluster.tolist()) == {0}
    assert np.isfinite(result.prob).all()
    assert "rank 0" in caplog.text or "1 clusters instead of 4" in caplog.text
    assert list(result.history) == ["round 1"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--variation none", ("--variation none", "--variant pi")),
        ("--variant baseline --consistency-weight 3", ("--consistency-weight", "--variant baseline")),
        ("--source digits@0-4", ("--source", "--method dtc does not use it")),
        ("--warm-up -1", ("--warm-up",)),
        ("--interval 0", ("--interval",)),
        ("--interval 8 --epochs 8", ("--interval 8", "8 epochs")),
        ("--variant all", ("--variant", "tep")),
        ("--tolerance 0.1", ("--tolerance", "--method dec")),
        ("", ("--method dtc", "starts from a classifier of images")),
    ],
)
def test_what_cannot_be_is_said(more: str, words: tuple[str, ...], cli: Cli) -> None:
    fails(cli(f"cluster digits@5-9 --method dtc --k 5 {more}"), 2, *words)
    assert not Path("clusterkit-out/assignments.h5").exists()
