"""A G of several networks through every stage that reads one, and what train-g refuses."""

from pathlib import Path

import pytest
import torch

from clusterkit.config import BatchNorm
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.networks.backbones import members_of
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.networks.read import read_g
from clusterkit.pairs.g import g_pairs

TRAIN = "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 30 --learning-rate 0.01 --members 3"
CPU = torch.device("cpu")


def test_every_stage_takes_an_ensemble(cli, tmp_path: Path) -> None:
    for line in (
        TRAIN,
        "self-train synthetic:blobs --rounds 1",
        "predict-pairs synthetic:blobs --g self-trained.safetensors",
        "predict-pairs synthetic:blobs",
        "cluster --k 10 --method kmeans",
        "evaluate --g g.safetensors synthetic:blobs",
        "cluster --k 10 --init g --epochs 8",
        "evaluate",
    ):
        done = cli(line)
        assert done.code == 0, done.err
    assert "acc\t1.0000" in done.out
    header, _ = read_g(tmp_path / "clusterkit-out" / "g.safetensors")
    assert header.extra["network"]["members"] == header.config["members"] == 3


def test_its_logits_are_the_mean_of_its_members(cli, tmp_path: Path) -> None:
    assert cli(TRAIN).code == 0
    _, g = read_g(tmp_path / "clusterkit-out" / "g.safetensors")
    subset = load_dataset("synthetic:blobs", tmp_path, offline=True, size=None, channels=None).union()
    shape = g.architecture.shape
    alone = []
    for number, backbone in enumerate(members_of(g.backbone)):
        one = SimilarityNet(Architecture(g.architecture.backbone, shape, g.architecture.mean, g.architecture.std, 32))
        one.backbone.load_state_dict(backbone.state_dict())
        units = slice(32 * number, 32 * (number + 1))
        state = {name: value[units] for name, value in g.head.state_dict().items() if not name.startswith("out")}
        state |= {"out.weight": g.head.out.weight[:, units].detach(), "out.bias": g.head.out.bias.detach()}
        one.head.load_state_dict(state)
        alone.append(one)
    index = torch.arange(len(subset))
    for bn in BatchNorm:
        expected = torch.stack([g_pairs(one, subset, bn, CPU).logits(index, index) for one in alone]).mean(0)
        torch.testing.assert_close(g_pairs(g, subset, bn, CPU).logits(index, index), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--members 0", "--members"),
        (
            "--variation strong",
            "--variation strong: synthetic:blobs holds vectors, not characters or photos; leave it out",
        ),
        ("--variation wild", "--variation"),
    ],
)
def test_what_is_refused(cli, tmp_path: Path, option: str, message: str) -> None:
    done = cli(f"train-g synthetic:blobs --backbone mlp {option}")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "clusterkit-out" / "g.safetensors").exists()
