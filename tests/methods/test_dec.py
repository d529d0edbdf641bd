"""DEC: its early end, its own autoencoder, and how both go on after an interruption."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import clusterkit.training
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.config import Backbone
from clusterkit.methods.common.autoencoder import learn_to_reconstruct
from clusterkit.methods.common.centres import Sharpening, interval_of
from clusterkit.methods.common.joint import Joint
from clusterkit.methods.dec import BATCHES
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.backbones import DEC_WIDTHS, build_backbone
from clusterkit.networks.heads import HeadKind
from tests.cli.test_bad_input import fails
from tests.conftest import Cli
from tests.methods.test_joint import groups
from tests.problems import Case, case

OUT = Path("clusterkit-out")
FILES = ("assignments.h5", "ccn.safetensors")
LINE = "cluster digits@0-1 --method dec --k 2 --epochs 2 --autoencoder-epochs 1"


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that learn in no time."""
    monkeypatch.setattr("clusterkit.networks.backbones.DEC_WIDTHS", (24, 24, 48, DEC_WIDTHS[-1]))


def plain(folder: Path, **options: Any) -> tuple[Case, np.ndarray]:
    x, labels = groups(1, 4)
    return case("dec", x, None, 4, folder, labels, **options), labels.numpy()


def test_the_training_ends_where_hardly_a_label_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # 160 batches are 40 epochs of 4, so the first renewal that can end the training is after 42 epochs.
    asked, labels = plain(tmp_path, interval=3, epochs=60)
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        result = asked.clustered()
    *_, last, end = (record.getMessage() for record in caplog.records)
    assert last.startswith("cluster all: epoch 42/60")
    assert end.startswith("cluster all: ends after epoch 42, as only ")
    assert accuracy(result.cluster, labels) == 1
    assert len(result.history["round 1"]) == 42
    kept, _ = plain(tmp_path, interval=3, tolerance=0.0, epochs=7)
    assert len(kept.clustered().history["round 1"]) == 7


def test_an_early_end_is_the_end_of_a_resumed_run_too(tmp_path: Path) -> None:
    asked, _ = plain(tmp_path, interval=3, epochs=60)
    result, again = asked.clustered(), asked.having(resume=True).clustered()
    assert again.history == result.history
    assert (again.prob == result.prob).all()


@pytest.mark.parametrize(
    ("batch_size", "epochs", "interval", "words"),
    [(2, 100, 2, ""), (40, 100, 40, ""), (40, 60, 30, "renewed after 30 epochs"), (40, 1, 1, "a single epoch")],
)
def test_the_default_interval(
    batch_size: int, epochs: int, interval: int, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked, _ = plain(tmp_path, epochs=epochs, batch_size=batch_size)
    joint = Joint(asked.items, 4, asked.options, asked.run, HeadKind.CENTRES, hidden=4)
    with caplog.at_level(logging.INFO, logger="clusterkit"):
        assert interval_of(joint, asked.options, round(BATCHES / joint.sampler.steps)) == interval
    assert words in caplog.text
    assert bool(words) == bool(caplog.text)


def test_the_end_is_judged_after_the_rate_has_risen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterkit.methods.dec.BATCHES", 1)
    for changes, length in (({"interval": 1, "epochs": 200}, 10), ({"interval": 7, "epochs": 60}, 14)):
        asked, _ = plain(tmp_path, batch_size=160, **changes)
        assert len(asked.clustered().history["round 1"]) == length


def test_nothing_is_renewed_after_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = list[int]()
    monkeypatch.setattr(Sharpening, "sharpen", lambda terms, prob, epoch: epochs.append(epoch))
    plain(tmp_path, interval=2, epochs=4)[0].clustered()
    assert epochs == [2]


def test_the_encoder_has_the_layers_of_the_paper() -> None:
    layers = [layer for layer in build_backbone(Backbone.DEC, (1, 4, 4)) if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (16, 500), (500, 500), (500, 2000), (2000, 10)
    ]  # fmt: skip
    assert DEC_WIDTHS == (500, 500, 2000, 10)


@pytest.mark.usefixtures("_narrow")
def test_the_autoencoder_learns_to_reconstruct(tmp_path: Path) -> None:
    x, _ = groups(1, 4)
    asked = case("dec", x, None, 4, tmp_path, backbone=Backbone.DEC)
    joint = Joint(asked.items, 4, asked.options, asked.run, HeadKind.CENTRES, hidden=10)
    before = {name: value.clone() for name, value in joint.net.network.backbone.named_parameters()}
    histories = learn_to_reconstruct(joint, 40)
    assert {title: len(losses) for title, losses in histories.items()} == {
        "layer 1": 10, "layer 2": 10, "layer 3": 10, "layer 4": 10, "autoencoder": 40
    }  # fmt: skip
    # Each standardised value has variance 1, which is the loss of the best constant.
    assert histories["autoencoder"][-1]["reconstruction"] < 0.5
    for name, value in joint.net.network.backbone.named_parameters():
        assert not torch.equal(value, before[name])


@pytest.mark.usefixtures("_narrow")
def test_images_need_no_classifier(cli: Cli) -> None:
    done = cli(LINE)
    assert done.code == 0, done.err
    header, state = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    assert header.extra["learned_from"] == []
    assert header.extra["networks"]["all"]["backbone"] == header.config["options"]["backbone"] == "dec"
    trainings = {*(f"layer {number}" for number in range(1, 5)), "autoencoder", "round 1"}
    assert set(header.extra["history"]["all"]) == trainings
    assert not any("decode" in name for name in state)
    clusters = read_assignments(OUT / "assignments.h5")[1]["all"].cluster
    assert cli("assign digits@0-1").code == 0
    assert len(np.unique(clusters)) == 2


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("stop", [2, 5, 6])
def test_it_goes_on_within_a_layer_and_within_the_clustering(
    stop: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(LINE).code == 0
    made = [(OUT / name).read_bytes() for name in FILES]
    saves, save = list[int](), clusterkit.training._save

    def interrupted(*args: Any) -> None:
        save(*args)
        saves.append(1)
        if len(saves) == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("clusterkit.training._save", interrupted)
        assert cli(LINE).code == 130
    done = cli(f"{LINE} --resume")
    assert (done.code, "resumed after epoch 1" in done.err) == (0, True), done.err
    assert [(OUT / name).read_bytes() for name in FILES] == made


@pytest.mark.usefixtures("_narrow")
def test_vectors_are_clustered_as_they_are_or_encoded(cli: Cli) -> None:
    x, labels = groups(1, 3)
    np.savez("t.npz", x=x.numpy(), y=labels.numpy())
    line = "cluster arrays:t.npz --method dec --k 3 --epochs 10"
    for more, backbone in (("", "identity"), ("--backbone dec --autoencoder-epochs 60 --batch-size 20", "dec")):
        assert cli(f"{line} {more}").code == 0
        assert read_checkpoint(OUT / "ccn.safetensors", "ccn")[0].config["options"]["backbone"] == backbone
        assert cli("evaluate --fail-under acc=0.95").code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--interval 4 --epochs 4", ("--interval 4", "4 epochs")),
        ("--backbone lenet --autoencoder-epochs 3", ("--autoencoder-epochs", "without a start")),
        ("--tolerance 2", ("--tolerance",)),
        ("--autoencoder-epochs 0", ("--autoencoder-epochs",)),
        ("--variant te", ("--variant", "--method dtc")),
    ],
)
def test_what_cannot_be_is_said(more: str, words: tuple[str, ...], cli: Cli) -> None:
    fails(cli(f"cluster digits@0-1 --method dec --k 2 {more}"), 2, *words)
    assert not (OUT / "assignments.h5").exists()
