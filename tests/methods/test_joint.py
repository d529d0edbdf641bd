"""Every joint training finds plain groups of vectors, gives the same twice, and goes on where it was."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clusterkit
from clusterkit.artifacts.header import Header
from clusterkit.config import Backbone, Context, PretrainConfig
from clusterkit.methods import METHODS
from clusterkit.methods.common import joint as module
from clusterkit.methods.common.joint import Joint
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.predict import represent
from clusterkit.networks.start import Start
from clusterkit.python.inputs import read_items
from clusterkit.python.source import read_source
from clusterkit.stages import pretrain
from tests.problems import Case, case

JOINT = [name for name, method in METHODS.items() if method.joint]


def groups(seed: int, classes: int, each: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Far-off groups of points in eight dimensions, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat(each)[torch.randperm(classes * each, generator=generator)]
    centres = 4 * torch.randn(classes, 8, generator=generator)
    return centres[labels] + 0.5 * torch.randn(len(labels), 8, generator=generator), labels


def problem(method: str, folder: Path, **options: Any) -> tuple[Case, np.ndarray]:
    """Four groups beside a source of three others."""
    x, labels = groups(1, 4)
    return case(method, x, None, 4, folder, labels, source=groups(2, 3), **options), labels.numpy()


@pytest.mark.parametrize("method", JOINT)
def test_plain_groups_are_found_and_found_again(method: str, tmp_path: Path) -> None:
    asked, labels = problem(method, tmp_path)
    result = asked.clustered()
    assert accuracy(result.cluster, labels) > 0.98
    assert result.network is not None
    np.testing.assert_allclose(result.prob.sum(1), 1, atol=1e-5)
    again = asked.clustered()
    assert (again.prob == result.prob).all()
    assert again.history == result.history


@pytest.mark.parametrize(
    ("method", "views"), [("supreme", (2, 1)), ("autonovel", (2, 2)), ("dtc", (2,)), ("dec", (1,))]
)
def test_views_of_each_set(
    method: str, views: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    shown = Joint._views

    def remembered(joint: Joint, hidden: torch.Tensor, *rest: Any) -> Any:
        values = shown(joint, hidden, *rest)
        seen.append((len(values.hidden), len(values.hidden[0])))
        return values

    monkeypatch.setattr(Joint, "_views", remembered)
    problem(method, tmp_path, epochs=1, batch_size=16)[0].clustered()
    assert seen[-len(views) :] == [(count, 16) for count in views]


@pytest.mark.parametrize("method", JOINT)
def test_a_python_program_gets_them_too(method: str) -> None:
    x, labels = groups(1, 4)
    options = {"source": tuple(part.numpy() for part in groups(2, 3))} if "source" in names_of(method) else {}
    found = clusterkit.cluster(x.numpy(), k=4, method=method, epochs=50, batch_size=40, **options)
    assert accuracy(found.labels, labels.numpy()) > 0.9
    if options:
        with pytest.raises(ValueError, match=f"^source: method {method} also learns a labelled set"):
            clusterkit.cluster(x.numpy(), k=4, method=method)
        for source, words in (
            ((np.zeros((4, 3)), [0, 1, 0, 1]), "source: holds items of shape"),
            ((np.zeros((4, 8)), [0, 1, 0]), "source: labels have shape"),
            ((np.zeros((4, 8)), [1, 1, 1, 1]), "source: has one class only"),
        ):
            with pytest.raises(ValueError, match=f"^{words}"):
                clusterkit.cluster(x.numpy(), k=4, method=method, source=source)
        with pytest.raises(TypeError, match=r"^source must be a pair"):
            clusterkit.cluster(x.numpy(), k=4, method=method, source=3)
    else:
        with pytest.raises(ValueError, match=f"^source: method {method} learns no labelled set"):
            clusterkit.cluster(x.numpy(), k=4, method=method, source=(x.numpy(), labels.numpy()))


def test_unlabelled_items_of_a_source_are_left_out() -> None:
    x, labels = groups(1, 4)
    items, classes = (part.numpy() for part in groups(2, 3))
    some = np.where(np.arange(len(classes)) % 5, classes, -1)
    options: dict[str, Any] = {"k": 4, "method": "supreme", "epochs": 1}
    expected = clusterkit.cluster(x.numpy(), source=(items[some >= 0], some[some >= 0]), **options)
    for values in (some, some.astype(float)):
        result = clusterkit.cluster(x.numpy(), source=(items, values), **options)
        assert (result.probabilities == expected.probabilities).all()
    words = np.array(["one", "two", "three"], dtype=object)[classes]
    result = clusterkit.cluster(x.numpy(), source=(items, words), **options)
    assert len(result.labels) == len(labels)
    for bad, message in (
        (np.where(some < 0, np.nan, some), r"^source \(x, y\): y has 24 NaN or infinite values"),
        (np.full(len(some), -1), "^source: has no labels"),
        (np.where(some == 0, 0, -1), "^source: has one class only"),
        (np.array([None, *words[1:]], dtype=object), r"^source \(x, y\): y holds object"),
    ):
        with pytest.raises(ValueError, match=message):
            clusterkit.cluster(x.numpy(), source=(items, bad), **options)


def test_a_python_program_gives_the_outputs_of_its_classifier_too() -> None:
    x, labels = (part.numpy() for part in groups(2, 3))
    network = ClusterNet(Architecture(Backbone.MLP, (8,), (0.0,) * 8, (1.0,) * 8, 0, 3, head=HeadKind.LINEAR))
    header = Header(
        "pretrained", "pretrain", {}, 0, "cpu", {"name": "a", "fingerprint": "f"}, {}, {"classes": ["0", "1", "2"]}
    )
    start = Start(network=network, header=header)
    data = read_items(x, start)
    head = read_source((x, labels), data, start, "autonovel").head
    assert head is not None
    assert torch.equal(head.weight, network.head[0].weight)
    assert read_source((x, labels + 1), data, start, "autonovel").head is None


def test_a_part_of_a_network_is_trained_only_if_it_is_there(tmp_path: Path) -> None:
    x, labels = groups(1, 4)
    options: dict[str, Any] = {"k": 4, "method": "dtc", "epochs": 1}
    with pytest.raises(ValueError, match=r"^fine_tune: trains a part of the network of init"):
        clusterkit.cluster(x.numpy(), backbone="mlp", fine_tune=1, **options)
    items, classes = (part.numpy() for part in groups(2, 3))
    np.savez(tmp_path / "a.npz", x=items, y=classes)
    context = Context(workdir=tmp_path, device="cpu")
    pretrain.run(PretrainConfig(dataset=f"features:{tmp_path}/a.npz", backbone="mlp", epochs=1), context)
    init = tmp_path / "pretrained.safetensors"
    with pytest.raises(ValueError, match=r"^fine_tune 9: the backbone in .*pretrained.safetensors has 2 groups"):
        clusterkit.cluster(x.numpy(), init=init, fine_tune=9, **options)
    assert len(clusterkit.cluster(x.numpy(), init=init, fine_tune=1, **options).labels) == len(labels)


def test_a_smaller_batch_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        problem("dtc", tmp_path, epochs=2, warm_up=1, batch_size=500)[0].clustered()
    assert caplog.text.count("batches of 160 items instead of 500") == 1


def names_of(method: str) -> set[str]:
    return set(METHODS[method].options.__dataclass_fields__)


@pytest.mark.parametrize("method", JOINT)
def test_the_target_labels_change_nothing(method: str, tmp_path: Path) -> None:
    x, labels = groups(1, 4)
    found = [
        case(method, x, None, 4, tmp_path, known, source=groups(2, 3), epochs=2).clustered().prob
        for known in (labels, None)
    ]
    assert (found[0] == found[1]).all()


def test_an_unknown_start_of_images_is_no_start() -> None:
    images = np.zeros((20, 8, 8), np.uint8)
    images[:10] = 255
    source = (images, np.arange(20) % 2)
    with pytest.raises(
        ValueError,
        match=r'^method supreme: starts from a classifier of images; give init=FILE, init="random" or a backbone$',
    ):
        clusterkit.cluster(images, k=2, method="supreme", source=source)
    found = clusterkit.cluster(images, k=2, method="supreme", source=source, init="random", epochs=1)
    assert len(found.labels) == 20


def test_features_are_those_of_the_clean_items(tmp_path: Path) -> None:
    asked, _ = problem("supreme", tmp_path)
    joint = Joint(asked.items, 4, asked.options, asked.run, HeadKind.LINEAR)
    x = asked.items.subset.images
    assert isinstance(x, torch.Tensor)
    expected = (x - x.mean(0)) / x.std(0, correction=0)
    np.testing.assert_allclose(joint.features(), expected.numpy(), atol=1e-5)
    [(hidden, _)] = represent(joint.net.network, joint.subset, joint.run.device)
    assert torch.equal(hidden, torch.from_numpy(joint.features()).float())


def joint_net(folder: Path, *, classes: int = 0, **options: Any) -> Joint:
    asked, _ = problem("supreme", folder, backbone=Backbone.MLP, **options)
    return Joint(asked.items, 4, asked.options, asked.run, HeadKind.LINEAR, classes=classes)


def normalisation(joint: Joint) -> torch.nn.BatchNorm1d:
    return next(module for module in joint.net.modules() if isinstance(module, torch.nn.BatchNorm1d))


def test_few_batches_are_normalised_by_the_clean_items(tmp_path: Path) -> None:
    joint = joint_net(tmp_path)
    norm, x = normalisation(joint), joint.subset.images
    assert isinstance(x, torch.Tensor)
    found = joint.features()
    joint.net.train()
    with torch.no_grad():
        expected = joint.net.network.features(x).double()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    norm.running_mean.fill_(3.0)  # type: ignore[union-attr]
    prob = joint.assignment()
    np.testing.assert_allclose(joint.features(), expected.numpy(), atol=1e-4)
    with torch.no_grad():
        outputs = joint.net.network.outputs(expected.float()).softmax(1)
    np.testing.assert_allclose(prob.numpy(), outputs.numpy(), atol=1e-4)


def test_what_keeps_the_running_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_kept(joint: Joint) -> bool:
        norm = normalisation(joint)
        norm.running_mean.fill_(3.0)  # type: ignore[union-attr]
        joint.assignment()
        return bool((norm.running_mean == 3).all())

    assert not is_kept(joint_net(tmp_path))
    assert is_kept(joint_net(tmp_path, classes=3))
    assert is_kept(joint_net(tmp_path, fine_tune=1))
    monkeypatch.setattr(module, "FOLLOWING", 1)
    assert is_kept(joint_net(tmp_path))


def test_a_network_without_batch_normalisation_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "blocks_of", lambda *_: pytest.fail("reads the items"))
    asked, _ = problem("supreme", tmp_path, backbone=Backbone.IDENTITY)
    Joint(asked.items, 4, asked.options, asked.run, HeadKind.LINEAR).assignment()
