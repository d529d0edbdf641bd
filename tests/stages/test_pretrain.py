"""pretrain, and what starts from it, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.networks.read import read_cluster_nets, read_g, read_start
from tests.conftest import once, run_all

PRETRAIN = "pretrain digits@0-4 --backbone mlp --size 8 --epochs 8"
FILE = Path("clusterkit-out/pretrained.safetensors")


@pytest.fixture(scope="session")
def pretrained_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "pretrained", run_all(PRETRAIN))


@pytest.fixture
def pretrained(pretrained_made: Path) -> Path:
    shutil.copytree(pretrained_made, FILE.parent)
    return FILE


def test_a_classifier_knows_its_classes(cli):
    done = cli(f"{PRETRAIN} --json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"artifact": str(FILE), "classes": 5}
    header, networks = read_cluster_nets(FILE)
    assert (header.stage, header.extra["classes"]) == ("pretrain", ["0", "1", "2", "3", "4"])
    assert len(header.extra["history"]) == 8
    assert networks["all"].architecture.outputs == 5
    assert cli("assign digits@0-4 --model pretrained.safetensors").code == 0
    scores = json.loads(cli("evaluate --assignments assigned.h5 --json").out)["mean"]
    assert scores["accuracy"] > 0.95
    assert scores["accuracy"] == scores["acc"]


def test_gradient_descent_as_in_the_papers(cli):
    line = "pretrain digits --backbone mlp --size 8 --epochs 6 --optimizer sgd --learning-rate 0.1 --drop-every 2"
    assert cli(line).code == 0
    first = FILE.read_bytes()
    history = read_checkpoint(FILE, "pretrained")[0].extra["history"]
    assert history[-1]["loss"] < 0.2 < history[0]["loss"]
    assert cli(line).code == 0
    assert FILE.read_bytes() == first


def test_g_and_clusters_start_from_its_backbone(pretrained, cli):
    assert cli("train-g digits@0-4 --init pretrained.safetensors --learning-rate 0 --epochs 1").code == 0
    header, g = read_g(FILE.with_name("g.safetensors"))
    assert header.inputs == {"init": sha256(pretrained)}
    assert header.config["init"] == "pretrained.safetensors"
    _, start = read_start(pretrained)
    learned = [name for name, _ in start.backbone.named_parameters()]
    assert all(torch.equal(g.backbone.state_dict()[name], start.backbone.state_dict()[name]) for name in learned)
    assert (g.architecture.shape, g.architecture.backbone) == ((1, 8, 8), "mlp")

    line = "cluster digits@5-9 --k 10 --epochs 1 --learning-rate 0 --no-self-train --init"
    for name in ("pretrained.safetensors", "g.safetensors"):
        done = cli(f"{line} {name}")
        assert done.code == 0, done.err
        header, networks = read_cluster_nets(FILE.with_name("ccn.safetensors"))
        assert header.inputs["init"] == sha256(FILE.with_name(name))
        assert all(
            torch.equal(networks["all"].backbone.state_dict()[key], start.backbone.state_dict()[key]) for key in learned
        )


def test_labels_of_the_target_as_pairs_take_the_form_of_the_network(pretrained, cli):
    assert cli("cluster digits@5-9 --pairs labels --k 5 --epochs 15 --init pretrained.safetensors").code == 0
    assert json.loads(cli("evaluate --json").out)["mean"]["acc"] > 0.9


def test_k_means_on_features(pretrained, cli):
    def clusters(line: str) -> np.ndarray:
        done = cli(f"cluster digits@5-9 --method kmeans --k 5 {line}")
        assert done.code == 0, done.err
        return read_assignments(FILE.with_name("assignments.h5"))[1]["all"].cluster

    plain, found = clusters(""), clusters("--features pretrained.safetensors")
    assert not np.array_equal(plain, found)
    header, _ = read_assignments(FILE.with_name("assignments.h5"))
    assert header.inputs == {"features": sha256(pretrained)}
    assert header.dataset["size"] == 8


def test_an_interrupted_run_ends_in_the_same_bytes(pretrained, cli, monkeypatch):
    whole = pretrained.read_bytes()
    pretrained.unlink()
    from clusterkit import training

    save = training._save

    def stop(*given: object) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)
    assert cli(PRETRAIN).code == 130
    assert not pretrained.exists()
    monkeypatch.setattr(training, "_save", save)
    done = cli(f"{PRETRAIN} --resume")
    assert done.code == 0
    assert "resumed after epoch 1" in done.err
    assert pretrained.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("pretrain synthetic:none", 2, "synthetic:none"),
        ("pretrain digits@3", 3, "digits@3 has one class only; pretrain needs at least two"),
        ("pretrain synthetic:blobs --backbone mlp --size 9", 2, "--size: synthetic:blobs holds vectors; leave it out"),
        ("pretrain digits --learning-rate inf", 2, "--learning-rate inf: give a finite number"),
        (
            "train-g digits --init nowhere",
            3,
            "nowhere: no such file; name an existing file, or make one with: ",
        ),
        (
            "train-g digits --init pretrained.safetensors --backbone vgg8",
            2,
            "--backbone: --init takes it from the file",
        ),
        ("train-g digits --init pretrained.safetensors --size 32", 2, "--size: --init takes it from the file"),
        ("train-g synthetic:blobs --init pretrained.safetensors", 3, "items of shape"),
        ("cluster digits --pairs labels --k 5 --init gg", 3, "gg: no such file; name an existing file"),
        ("cluster digits --pairs labels --k 5 --init empty", 3, "empty: empty"),
        ("cluster digits --pairs labels --k 5 --init .", 3, "cannot be read (Is a directory)"),
        ("cluster digits --pairs labels --k 5 --init cut", 3, "cut: damaged"),
        ("cluster digits --pairs labels --k 5 --init page.txt", 3, "page.txt: not a clusterkit pretrained or g file"),
        ("cluster digits --pairs labels --k 5 --init pretrained.safetensors --backbone vgg8", 2, "leave one of them"),
        ("cluster digits --k 5 --features pretrained.safetensors", 2, "--features: --method ccn learns its own"),
        ("cluster digits --k 5 --method kmeans --features cut", 3, "cut: damaged"),
        ("cluster digits --k 5 --method kmeans --init pretrained.safetensors", 2, "--init: --method kmeans does not"),
        ("cluster digits --k 5 --method spectral --optimizer sgd", 2, "--optimizer: --method spectral does not use it"),
        ("assign digits --model pretrained.safetensors --subset x", 2, "choose one with --subset: all"),
    ],
)
def test_what_cannot_be(line, code, message, pretrained, cli):
    Path("empty").touch()
    Path("cut").write_bytes(pretrained.read_bytes()[:5000])
    Path("page.txt").write_text("a page")
    before = sorted(path.name for path in pretrained.parent.iterdir())
    done = cli(line)
    assert (done.code, done.out) == (code, "")
    assert message in done.err.splitlines()[-1]
    assert sorted(path.name for path in pretrained.parent.iterdir()) == before
