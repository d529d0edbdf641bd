"""The training of vgg-fast by pretrain: its recipe, mirror images that alternate, and its resumption."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clusterkit import device
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.augment import augment
from clusterkit.config import Backbone, Kind, Optimizer, Precision, PretrainConfig
from clusterkit.datasets.base import Subset
from clusterkit.networks import fast
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.read import read_cluster_nets
from clusterkit.sampling import Shuffled
from clusterkit.stages import pretrain
from clusterkit.stages.pretrain import Mirrors, Training, plan_of, training_of

CPU = torch.device("cpu")
LINE = "pretrain arrays:set.npz --backbone vgg-fast --size 16 --epochs 3 --batch-size 20"
FILE = Path("clusterkit-out/pretrained.safetensors")


def make_set() -> None:
    """Two classes of colour images: light above, and light below."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    half = np.where(np.arange(16)[:, None] < 8, 60, -60) * np.ones(16, dtype=int)
    x = 128 + np.where(y[:, None, None, None] == 1, half, -half) + rng.integers(-60, 60, (60, 3, 16, 16))
    np.savez("set.npz", x=x.astype(np.uint8), y=y)


@pytest.fixture(autouse=True)
def _small_and_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "WIDTHS", (16, 16, 16))
    monkeypatch.setattr(pretrain, "quick_precision", lambda device: Precision.FP32)


def test_the_recipe_follows_from_the_backbone_and_what_is_typed_wins() -> None:
    quick = Training(10, 250, 0.5, Optimizer.SGD, Precision.FP32, quick=True)
    for typed, expected in (
        ({}, Training()),
        ({"epochs": 5, "precision": "bf16"}, Training(epochs=5, precision=Precision.BF16)),
        ({"backbone": Backbone.VGG_FAST}, quick),
        (
            {"backbone": Backbone.VGG_FAST, "optimizer": Optimizer.ADAM},
            Training(10, 250, 1e-3, Optimizer.ADAM, Precision.FP32, quick=True),
        ),
        (
            {"backbone": Backbone.VGG_FAST, "epochs": 30, "optimizer": Optimizer.ADAM, "learning_rate": 1e-3},
            Training(30, 250, 1e-3, Optimizer.ADAM, Precision.FP32, quick=True),
        ),
    ):
        config = PretrainConfig(dataset="set", **typed)
        assert training_of(config, config.backbone, CPU) == expected


def test_bfloat16_is_for_processors_that_multiply_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(device, "Path", lambda name: file)
    for flags, expected in ((None, "fp32"), ("avx512f avx512_vnni", "fp32"), ("avx512f avx512_bf16", "bf16")):
        if flags is not None:
            file.write_text(f"flags : {flags}\n")
        assert device.quick_precision(CPU) == expected
    assert device.quick_precision(torch.device("mps")) == "fp32"


def test_each_photo_is_mirrored_in_every_second_epoch() -> None:
    mirrors, index = Mirrors(1000, 0, CPU), torch.randperm(1000)
    found = []
    for epoch in range(4):
        mirrors.turn(epoch)
        found.append(mirrors.of(index))
    assert 400 < int(found[0].sum()) < 600
    assert torch.equal(found[1], ~found[0])
    assert torch.equal(found[2], found[0])
    assert torch.equal(found[3], found[1])
    assert not torch.equal(Mirrors(1000, 1, CPU).of(index), found[0])


def test_its_training_mirrors_by_epoch(cli, monkeypatch):
    make_set()
    marked: list[int] = []

    def spy(*arguments: object, flipped: torch.Tensor, **more: object) -> torch.Tensor:
        marked.append(int(flipped.sum()))
        return augment(*arguments, flipped=flipped, **more)

    monkeypatch.setattr(pretrain, "augment", spy)
    assert cli(LINE).code == 0
    epochs = [sum(marked[start : start + 3]) for start in (0, 3, 6)]
    assert epochs[0] + epochs[1] == 60
    assert epochs[0] == epochs[2]


def test_the_network_learns_by_the_recipe(cli):
    make_set()
    done = cli(f"{LINE} --epochs 8")
    assert done.code == 0, done.err
    header, networks = read_cluster_nets(FILE)
    assert header.extra["training"] == {
        "epochs": 8, "batch_size": 20, "learning_rate": 0.5, "optimizer": "sgd", "precision": "fp32", "quick": True,
    }  # fmt: skip
    with np.load("set.npz") as arrays:
        x, y = torch.from_numpy(arrays["x"]).float() / 255, torch.from_numpy(arrays["y"])
    with torch.no_grad():
        assert (networks["all"](x).argmax(1) == y).float().mean() > 0.9


def test_the_outputs_are_those_of_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ClusterNet(Architecture(Backbone.MLP, (4,), (0.0,) * 4, (1.0,) * 4, 8, 3))
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    before = copy.deepcopy(network).train()
    plan = plan_of(Training(epochs=1, learning_rate=0.0, quick=True), 1, 0, tmp_path / "state")
    items = Subset("all", x, torch.arange(12), None)
    [losses] = pretrain.train(network, items, y, Kind.VECTORS, Shuffled(12, 12), plan, quick=True)
    logits = before(x) / 9
    assert losses["loss"] == pytest.approx(F.cross_entropy(logits, y, label_smoothing=0.2).item(), rel=1e-5)
    torch.testing.assert_close(network.train()(x), logits)


def test_an_interrupted_training_ends_in_the_same_bytes(cli, monkeypatch):
    from clusterkit import training

    make_set()
    assert cli(LINE).code == 0
    whole = FILE.read_bytes()
    FILE.unlink()
    save = training._save

    def stop(*given: object) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)
    assert cli(LINE).code == 130
    state = next(FILE.parent.glob(".pretrained.safetensors.state/*.safetensors"))
    assert any(name.startswith("slow.backbone") for name in read_checkpoint(state, "state")[1])
    monkeypatch.setattr(training, "_save", save)
    assert "resumed after epoch 1" in cli(f"{LINE} --resume").err
    assert FILE.read_bytes() == whole
