"""G on fixed features: the metric, its similarity, and its statistics on other items."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.header import Header
from clusterkit.config import BatchNorm
from clusterkit.config import Form as FileForm
from clusterkit.datasets.base import Subset
from clusterkit.methods.common.correction import learn, plain
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.networks.evening import OWN, Form, Values, fitted, scaled
from clusterkit.networks.metric import Metric
from clusterkit.networks.read import read_g
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.from_file import from_group, to_group
from clusterkit.pairs.g import g_pairs
from clusterkit.stages.train_g import metric_of

CPU = torch.device("cpu")


def items(classes: int, each: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return features (N, 12) of classes, and their labels (N,)."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    x = 2 * random.normal(size=(classes, 12))[labels] + random.normal(size=(len(labels), 12)) * np.linspace(0.2, 3, 12)
    return torch.from_numpy(x).float(), torch.from_numpy(labels)


def subset_of(x: Tensor) -> Subset:
    return Subset("all", x, torch.arange(len(x)), None)


def test_a_metric_gives_rows_of_length_one_and_leaves_its_centre_zero() -> None:
    random = np.random.default_rng(0)
    centre, matrix, x = random.normal(size=5), random.normal(size=(5, 3)), random.normal(size=(4, 5))
    x[0] = centre
    expected = (x - centre) @ matrix
    expected[1:] /= np.sqrt((expected[1:] ** 2).sum(1))[:, None]
    z = Metric.of(centre, matrix)(torch.from_numpy(x).float())
    np.testing.assert_allclose(z.numpy(), expected, atol=1e-5)


def own_rows(x: Tensor, within: Values, form: Form) -> Values:
    """Return the rows z of features (N, D) with their own statistics."""
    centre, matrix = fitted(x.numpy(), within, form, seed=0)
    return scaled((x.numpy() - centre) @ matrix)


def test_pairs_are_the_calibrated_cosines_of_features_that_the_targets_statistics_correct() -> None:
    (a, labels), (t, _) = items(6, 12, 1), items(5, 10, 2)
    correction = learn(a.numpy(), labels.numpy(), 3)
    g = metric_of(correction)
    here = own_rows(t, correction.within, correction.form)
    there = scaled((t.numpy() - correction.centre) @ correction.matrix)
    for bn, z in ((BatchNorm.TARGET, here), (BatchNorm.SOURCE, there)):
        pairs = g_pairs(g, subset_of(t), bn, CPU)
        assert isinstance(pairs, CosinePairs)
        logits = pairs.logits(torch.arange(50), torch.arange(50)).numpy()
        np.testing.assert_allclose(logits, correction.scale * z @ z.T + correction.bias, rtol=1e-3, atol=2e-3)
    # The network itself stays as it was trained.
    own = scaled((a.numpy() - correction.centre) @ correction.matrix)
    np.testing.assert_allclose(g.features(a).detach().numpy(), own, atol=1e-4)


def test_without_labels_the_calibration_is_that_of_the_target() -> None:
    (a, _), (t, _) = items(6, 12, 1), items(5, 10, 2)
    g, expected = metric_of(plain(a.numpy(), 0)), plain(t.numpy(), 0)
    pairs = g_pairs(g, subset_of(t), BatchNorm.TARGET, CPU)
    assert isinstance(pairs, CosinePairs)
    np.testing.assert_allclose([pairs.scale, pairs.bias], [expected.scale, expected.bias], rtol=1e-5)
    z = own_rows(t, np.zeros((0, 0)), OWN)
    np.testing.assert_allclose(pairs.z @ pairs.z.T, z @ z.T, atol=1e-4)


def test_the_order_of_many_items_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    (a, labels), (t, _) = items(6, 12, 1), items(5, 20, 2)
    g, order = metric_of(learn(a.numpy(), labels.numpy(), 3)), torch.randperm(100)
    monkeypatch.setattr("clusterkit.networks.metric.MOST", 60)
    monkeypatch.setattr("clusterkit.networks.evening.SAMPLE", 40)
    first, second = (g_pairs(g, subset_of(x), BatchNorm.TARGET, CPU).z for x in (t, t[order]))
    np.testing.assert_allclose(first[order], second, atol=1e-5)


def test_a_metric_is_read_as_it_was_written() -> None:
    a, labels = items(6, 12, 1)
    g = metric_of(learn(a.numpy(), labels.numpy(), 3))
    header = Header(
        "g",
        "train-g",
        {},
        0,
        "cpu",
        {"name": "digits", "fingerprint": "f"},
        extra={"network": g.architecture.to_header()},
    )
    write_checkpoint(Path("g.safetensors"), header, g.state_dict())
    read = read_g(Path("g.safetensors"))[1]
    assert isinstance(read, SimilarityNet)
    assert read.architecture == g.architecture
    assert torch.equal(read(a), g(a))


def test_pairs_by_a_metric_are_stored_as_factors_whatever_the_form() -> None:
    t, _ = items(5, 10, 2)
    pairs = g_pairs(metric_of(plain(t.numpy(), 0)), subset_of(t), BatchNorm.TARGET, CPU)
    rows, columns = torch.tensor([3, 1]), torch.tensor([0, 7, 9])
    for form in FileForm:
        group = to_group(pairs, torch.arange(50), form)
        assert set(group) == {"id", "z", "scale", "bias"}
        again = from_group({name: np.asarray(value) for name, value in group.items()})
        assert torch.equal(again.logits(rows, columns), pairs.logits(rows, columns))


def test_an_architecture_has_a_backbone_or_a_width() -> None:
    fields = {"shape": [4], "mean": [0.0] * 4, "std": [1.0] * 4, "hidden": 8}
    assert Architecture.from_header({**fields, "backbone": None, "width": 3}).width == 3
    for wrong in ({"backbone": None}, {"backbone": "mlp", "width": 3}):
        try:
            Architecture.from_header({**fields, **wrong})
        except ValueError:
            continue
        raise AssertionError(wrong)
