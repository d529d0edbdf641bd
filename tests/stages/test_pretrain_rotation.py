"""pretrain --task rotation, and pretrain --init with --fine-tune, through the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.lineage import again
from clusterkit.config import Backbone, Context, Kind, PretrainConfig
from clusterkit.datasets.base import Subset
from clusterkit.datasets.current import is_of_same_data
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.groups import groups_of
from clusterkit.networks.read import read_cluster_nets
from clusterkit.sampling import Shuffled
from clusterkit.settings import Task
from clusterkit.stages import pretrain
from clusterkit.studies.common import runs
from tests.conftest import Cli, once, run_all

OUT = Path("clusterkit-out")
FILE = OUT / "pretrained.safetensors"
ROTATION = "pretrain digits@5-9 digits@0-4 --task rotation --backbone mlp --size 8 --epochs 2"
CLASSES = "pretrain digits@0-4 --init start.safetensors --epochs 2 --learning-rate 0.01"
WARNS = "trained with labels of"


@pytest.fixture(scope="session")
def rotation_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "rotation", run_all(ROTATION))


@pytest.fixture
def start(rotation_made: Path) -> Path:
    """A network of rotations, in the work folder under two names."""
    shutil.copytree(rotation_made, OUT)
    return Path(shutil.copy(FILE, OUT / "start.safetensors"))


def pictures(*classes: str, seed: int = 0) -> np.ndarray:
    """Grey images (N, 8, 8) of one bright corner and noise, one for each class."""
    images = np.random.default_rng(seed).integers(90, size=(len(classes), 8, 8), dtype=np.uint8)
    for image, name in zip(images, classes, strict=True):
        image[:4, : 2 + 2 * "abc".index(name)] = 255
    return images


def write(name: str, labels: list[str] | None = None, seed: int = 0) -> None:
    more = {} if labels is None else {"y": np.array(labels)}
    np.savez(name, x=pictures(*"abc" * 5, seed=seed), **more)  # type: ignore[arg-type]


def test_the_loss_is_that_of_every_image_in_every_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = torch.randint(256, (7, 3, 8, 8), dtype=torch.uint8)
    network = ClusterNet(Architecture(Backbone.MLP, (3, 8, 8), (0.5,) * 3, (0.25,) * 3, 16, outputs=4)).double().eval()
    losses = []

    def one_epoch(network: object, batches: Callable[..., Any], step: Callable[..., Any], *_: object) -> None:
        generator = torch.Generator().manual_seed(1)
        for index, x in batches(generator):
            losses.append((index, step((index, x.double()))["loss"].item()))

    monkeypatch.setattr(pretrain, "fit", one_epoch)
    items = Subset("all", images, torch.arange(7), None)
    # Nothing is augmented as vectors are.
    pretrain.train(network, items, None, Kind.VECTORS, Shuffled(7, 3), None)  # type: ignore[arg-type]
    assert losses
    for index, loss in losses:
        expected = [
            -network(turned(images[position] / 255, turns)[None].double()).log_softmax(1)[0, turns].item()
            for position in index.tolist() for turns in range(4)
        ]  # fmt: skip
        assert loss == pytest.approx(np.mean(expected), rel=1e-6)


def turned(image: Tensor, turns: int) -> Tensor:
    """An image (C, H, H) by so many quarter turns: its right column becomes its top row, pixel by pixel."""
    last = image.shape[1] - 1
    for _ in range(turns):
        before, image = image, torch.empty_like(image)
        for row in range(last + 1):
            for column in range(last + 1):
                image[:, row, column] = before[:, column, last - row]
    return image


def accuracy(network: ClusterNet, images: Tensor) -> float:
    x, target = pretrain.rotated(images)
    with torch.no_grad():
        return float((network(x).argmax(1) == target).double().mean())


def test_photos_are_told_apart_by_their_rotation(real_data: Path, tmp_path: Path) -> None:
    """Of 200 photos of CIFAR-10, half are learned and half tested; chance is one in four."""
    folders = sorted((real_data / "cifar10" / "train").iterdir())
    files = [path for folder in folders for path in sorted(folder.glob("*.jp*g"))[:20]]
    photos = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    np.savez("photos.npz", x=photos[::2])
    config = PretrainConfig(dataset="arrays:photos.npz", task=Task.ROTATION, batch_size=5, epochs=2)
    pretrain.run(config, Context())
    header, networks = read_cluster_nets(FILE)
    assert header.config["backbone"] == "conv4"
    assert networks["all"].architecture.shape == (3, 32, 32)
    assert accuracy(networks["all"], torch.from_numpy(photos[1::2]).permute(0, 3, 1, 2) / 255) > 0.4


def test_rotations_of_two_sets_are_learned_without_labels(start: Path, cli: Cli) -> None:
    header, networks = read_cluster_nets(start)
    assert (header.config["task"], header.config["dataset"], header.config["others"]) == (
        "rotation", "digits@5-9", ["digits@0-4"],
    )  # fmt: skip
    assert header.extra["learned_from"] == []
    assert [header.dataset["name"], *(each["name"] for each in header.extra["others"])] == ["digits@5-9", "digits@0-4"]
    assert networks["all"].architecture.outputs == 4
    assert "classes" not in header.extra
    assert header.extra["history"][-1]["loss"] < 0.8, "that of chance is 1.39"
    assert "header.config.task\trotation" in cli(f"inspect {start}").out
    assert cli("train-g digits@0-1 --backbone mlp --size 8 --hidden 8 --epochs 1").code == 0
    for line in (
        "cluster digits@5-6 --k 2 --init start.safetensors --epochs 1 --no-self-train",
        "cluster digits@5-6 --k 2 --method kmeans --features start.safetensors",
    ):
        done = cli(line)
        assert (done.code, WARNS in done.err) == (0, False), done.err
        assert read_assignments(OUT / "assignments.h5")[0].extra["uses_target_labels"] == "no"


def test_labels_make_no_difference(cli: Cli) -> None:
    files = []
    for labels in (None, list("abc" * 5), ["a"] * 15, ["a", ""] * 7 + ["b"]):
        write("a.npz", labels)
        done = cli("pretrain arrays:a.npz --task rotation --backbone mlp --size 8 --epochs 2 --json")
        assert done.code == 0, done.err
        assert json.loads(done.out) == {"artifact": str(FILE)}
        files.append(FILE.read_bytes())
    assert len(set(files)) == 1


def test_a_classifier_starts_from_a_network_of_rotations(start: Path, cli: Cli) -> None:
    """As AutoNovel trains: rotations of both sets, then the last layers on the classes of A."""
    done = cli(f"{CLASSES} --fine-tune 1 --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["classes"] == 5
    header, networks = read_cluster_nets(FILE)
    before = read_cluster_nets(start)[1]["all"].backbone
    first, last = groups_of(networks["all"].backbone)
    for layers, earlier, same in zip((first, last), groups_of(before), (True, False), strict=True):
        values, old = (torch.nn.Sequential(*each).state_dict() for each in (layers, earlier))
        assert all(torch.equal(value, old[name]) == same for name, value in values.items())
    assert header.inputs == {"init": sha256(start)}
    assert (header.config["init"], header.config["fine_tune"]) == ("start.safetensors", 1)
    assert [each["name"] for each in header.extra["learned_from"]] == ["digits@0-4"]
    assert cli("assign digits@0-4 --model pretrained.safetensors").code == 0
    assert json.loads(cli("evaluate --assignments assigned.h5 --json").out)["mean"]["accuracy"] > 0.8

    # What a start has learned from is learned from, whatever is learned next.
    shutil.move(FILE, OUT / "classes.safetensors")
    done = cli("pretrain digits@5-9 --task rotation --init classes.safetensors --epochs 1")
    assert done.code == 0, done.err
    assert read_checkpoint(FILE, "pretrained")[0].extra["learned_from"] == header.extra["learned_from"]
    for classes, warned in (("0-4", True), ("5-9", False)):
        done = cli(f"cluster digits@{classes} --k 5 --method kmeans --features pretrained.safetensors")
        assert (done.code, WARNS in done.err) == (0, warned)


@pytest.mark.parametrize("line", [ROTATION, f"{CLASSES} --fine-tune 1"])
def test_an_interrupted_run_of_rotations_ends_in_the_same_bytes(
    line: str, start: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clusterkit import training

    assert cli(line).code == 0
    whole = FILE.read_bytes()
    FILE.unlink()
    save = training._save

    def stop(*given: Any) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stop)
    assert cli(line).code == 130
    monkeypatch.setattr(training, "_save", save)
    done = cli(f"{line} --resume")
    assert (done.code, "resumed after epoch 1" in done.err) == (0, True)
    assert FILE.read_bytes() == whole


def test_other_content_of_any_set_is_noticed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.npz")
    write("b.npz", seed=1)
    line = "pretrain arrays:a.npz arrays:b.npz --task rotation --backbone mlp --size 8 --epochs 1"
    assert cli(line).code == 0
    header = read_checkpoint(FILE, "pretrained")[0]
    assert str(tmp_path) not in FILE.read_bytes()[:4000].decode("latin1")
    assert header.config["others"] == ["arrays:b.npz"]
    assert again(header, FILE).startswith("clusterkit pretrain arrays:a.npz arrays:b.npz --")
    assert set(again(header, FILE).split()) == {"clusterkit", *line.split()}
    assert set(runs.words_of(PretrainConfig(dataset="a", others=("b", "c")))) == {"a", "b", "c"}
    config = PretrainConfig(
        dataset="arrays:a.npz", others=(f"arrays:{tmp_path}/b.npz",), task=Task.ROTATION, backbone=Backbone.MLP,
        size=8, epochs=1,
    )  # fmt: skip
    assert runs.keeps(FILE, config, Context(resume=True))
    for name, seed in (("a", 0), ("b", 1)):
        write(f"{name}.npz", seed=7)
        assert not is_of_same_data(header, Context()), name
        write(f"{name}.npz", seed=seed)
    assert is_of_same_data(header, Context())
    # From elsewhere the sets are found by the path from the file.
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert is_of_same_data(read_checkpoint(tmp_path / FILE, "pretrained")[0], Context())


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("pretrain digits@0-4 digits@5-9", 2, "digits@5-9: --task classes learns the classes of one set; leave out"),
        ("pretrain digits --task rotations", 2, "'rotations' is not one of 'classes', 'rotation'"),
        (
            "pretrain synthetic:blobs --task rotation",
            2,
            "--task rotation: synthetic:blobs holds vectors, which have no rotations; name a set of images",
        ),
        ("pretrain digits synthetic:blobs --task rotation", 3, "shape (2,), but data set digits has (1, 32, 32); name"),
        ("pretrain digits synthetic:none --task rotation", 2, "synthetic:none"),
        ("pretrain digits folder:none --task rotation", 3, "none"),
        ("pretrain digits digits@3 --task rotation", 2, "digits and digits@3 share images; name each image once"),
        ("pretrain arrays:a.npz arrays:a.npz --task rotation", 2, "share images; name each image once"),
        ("pretrain arrays:a.npz --labels y.csv --task rotation", 2, "--labels: --task rotation reads no labels"),
        ("pretrain arrays:colour.npz digits --task rotation", 3, "holds photos and digits characters"),
        ("pretrain digits --fine-tune 1", 2, "--fine-tune: trains a part of the backbone of --init; name its file"),
        (
            "pretrain digits --init start.safetensors --fine-tune 3",
            2,
            "--fine-tune 3: the backbone in start.safetensors has 2 groups of layers; give a smaller number",
        ),
        ("pretrain digits --init start.safetensors --backbone vgg8", 2, "--backbone: --init takes it from the file"),
        ("pretrain digits --init start.safetensors --size 8", 2, "--size: --init takes it from the file"),
        ("pretrain digits --init absent", 3, "absent: no such file"),
        ("pretrain digits --init cut", 3, "cut: damaged"),
        ("pretrain digits --init empty", 3, "empty: empty"),
        ("pretrain synthetic:blobs --init start.safetensors", 3, "items of shape (2,), but the network"),
        ("assign digits --model start.safetensors", 3, "start.safetensors: tells rotations of an image apart, not"),
        ("evaluate --g start.safetensors digits", 3, "start.safetensors: holds pretrained, not g"),
    ],
)  # fmt: skip
def test_what_no_rotation_can_be_learned_from(line: str, code: int, message: str, start: Path, cli: Cli) -> None:
    write("a.npz")
    np.savez("colour.npz", x=np.random.default_rng(0).integers(256, size=(4, 32, 32, 3), dtype=np.uint8))
    Path("y.csv").write_text("0,a\n1,b\n")
    Path("cut").write_bytes(start.read_bytes()[:5000])
    Path("empty").touch()
    before = sorted(path.name for path in OUT.iterdir())
    done = cli(line)
    assert (done.code, done.out) == (code, "")
    assert message in done.err.splitlines()[-1]
    assert sorted(path.name for path in OUT.iterdir()) == before


def test_a_quick_network_learns_rotations_and_is_tuned_as_quickly(cli: Cli) -> None:
    np.savez("a.npz", x=np.random.default_rng(0).integers(256, size=(12, 16, 16, 3), dtype=np.uint8), y=[*"ab"] * 6)
    first = "pretrain arrays:a.npz --backbone vgg-fast --size 16 --epochs 1 --workdir turned --task rotation"
    assert cli(first).code == 0
    done = cli("pretrain arrays:a.npz --init turned/pretrained.safetensors --fine-tune 1 --epochs 1")
    assert done.code == 0, done.err
    header = read_checkpoint(FILE, "pretrained")[0]
    assert (header.extra["training"]["optimizer"], header.extra["training"]["batch_size"]) == ("sgd", 250)
    files = Path("turned/pretrained.safetensors"), FILE
    whitened = [read_cluster_nets(file)[1]["all"].backbone[0].weight for file in files]
    assert torch.equal(*whitened)
