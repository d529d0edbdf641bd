"""adapt, through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.config import Backbone
from clusterkit.networks.backbones import weights_statistics
from clusterkit.networks.read import read_cluster_nets, read_g

SOME = "@12-27,40-47"
OUT = Path("clusterkit-out")


def adapted(line, cli):
    done = cli(f"adapt {line} --json")
    assert done.code == 0, done.err
    fields = json.loads(done.out)
    return (*read_assignments(Path(fields["artifact"])), fields)


def squares(name: str, *, shift: float = 0, labels: bool = True, classes: tuple[int, ...] = (0, 1, 2)) -> None:
    """Write vectors of a few classes, in a domain that is shifted."""
    rng = np.random.default_rng(len(name))
    y = np.array(classes)[np.arange(90) % len(classes)]
    x = (3 * np.eye(4)[y] + rng.normal(size=(90, 4)) * 0.3 + shift * np.eye(4)[3]).astype(np.float32)
    np.savez(f"{name}.npz", x=x, **({"y": y} if labels else {}))


@pytest.mark.parametrize("method", [*ADAPTATIONS, "ccn+ --loss ccl"])
def test_each_method_names_the_classes_of_the_target(method, points, cli):
    line = f"synthetic:blobs synthetic:blobs --method {method} --steps 50 --backbone mlp"
    header, found, fields = adapted(line, cli)
    assert header.extra["classes"] == ["0", "1", "2", "3", "4"]
    learned = "the classifier and G" if "ccn" in method else "the classifier"
    assert header.extra["uses_target_labels"] == f"labels, in the training of {learned}"
    assert header.extra["weights"] == "random"
    assert header.extra["source"]["name"] == "synthetic:blobs"
    assert found["all"].prob.shape == (600, 5)
    asked = {"entropy", "balance"} | ({"agreement"} if "ccn" in method else set())
    assert fields["diagnostics"].keys() == header.extra["diagnostics"].keys() == asked
    history = read_checkpoint(OUT / "adapted.safetensors", "adapted")[0].extra["history"]
    assert len(history) == 1
    rows = json.loads(cli("evaluate --assignments adapted.h5 --json").out)["mean"]
    assert rows["accuracy"] == rows["acc"] == 1


def test_the_other_methods_can_be_compared_with_the_pairs_too(points, cli):
    line = "synthetic:blobs synthetic:blobs --method dann --steps 50 --backbone mlp"
    network = OUT / "adapted.safetensors"
    assert "agreement" not in adapted(line, cli)[2]["diagnostics"]
    before = read_checkpoint(network, "adapted")
    header, _, fields = adapted(f"{line} --pairs pairs.h5", cli)
    assert fields["diagnostics"]["agreement"] > 0.9
    assert header.inputs["pairs"] == sha256(points / "pairs.h5")
    after = read_checkpoint(network, "adapted")
    assert all(torch.equal(before[1][name], value) for name, value in after[1].items())


def test_labels_of_the_target_change_nothing(cli):
    squares("source")
    for name in ("with", "mute", "turn"):
        squares("with", shift=1)
        held = dict(np.load("with.npz"))
        if name == "mute":
            del held["y"]
        if name == "turn":
            held["y"] = (held["y"] + 1) % 3
        np.savez("target.npz", **held)
        done = cli(f"adapt arrays:source.npz arrays:target.npz --backbone mlp --steps 10 --workdir {name}")
        assert (done.code, f"{name}/g.safetensors: no such file" in done.err) == (3, True)
        line = f"adapt arrays:source.npz arrays:target.npz --method dann --backbone mlp --steps 10 --workdir {name}"
        assert cli(line).code == 0
    states = [read_checkpoint(Path(name, "adapted.safetensors"), "adapted")[1] for name in ("with", "mute", "turn")]
    for other in states[1:]:
        assert all(torch.equal(value, other[name]) for name, value in states[0].items())


def test_classes_that_differ(cli):
    squares("source")
    squares("target", classes=(0, 1, 3))
    done = cli("adapt arrays:source.npz arrays:target.npz --method source-only --backbone mlp --steps 1")
    assert (done.code, done.out) == (3, "")
    assert "arrays:source.npz and arrays:target.npz have different classes" in done.err
    assert "(2 only in the first, 3 only in the second)" in done.err
    squares("target", classes=(1,))
    done = cli("adapt arrays:source.npz arrays:target.npz --method source-only --backbone mlp --steps 1")
    assert done.code == 3
    assert "(0, 2 only in the first, none only in the second)" in done.err
    done = cli("adapt digits digits@0-3 --method source-only --steps 1")
    assert "(4, 5, 6 and 3 more only in the first" in done.err
    assert not OUT.exists()


def test_a_target_of_one_class_that_nobody_named(cli):
    squares("source")
    squares("target", classes=(1,), labels=False)
    header, found, fields = adapted("arrays:source.npz arrays:target.npz --method source-only --backbone mlp", cli)
    assert set(found["all"].cluster) == {header.extra["classes"].index("1")}
    assert fields["diagnostics"]["balance"] < 0.1
    assert "arrays:target.npz has no labels" in cli("evaluate --assignments adapted.h5").err


def test_a_set_smaller_than_a_batch(cli):
    squares("source")
    np.savez("few.npz", x=np.random.default_rng(0).normal(size=(7, 4)))
    done = cli("adapt arrays:source.npz arrays:few.npz --method jan --backbone mlp --steps 1")
    assert done.code == 0
    assert "target batches of 7 instead of 96, because the set has no more items" in done.err
    assert "source batches" not in done.err


def test_what_it_refuses(letters, cli):
    done = cli(f"adapt glyphs_bg@0-3 glyphs_eval{SOME} --backbone mlp --steps 1")
    assert done.code == 2
    assert f"name one of glyphs_eval/Morwen{SOME}, glyphs_eval/Nastric{SOME}" in done.err
    np.savez("a.npz", x=np.random.default_rng(0).integers(0, 256, (30, 8, 8)).astype(np.uint8))
    done = cli("adapt arrays:a.npz glyphs_eval/Morwen --backbone mlp --method source-only")
    assert done.code == 3
    assert "arrays:a.npz has no labels" in done.err
    squares("source")
    done = cli("adapt arrays:source.npz arrays:source.npz --size 8 --backbone mlp --method source-only")
    assert (done.code, "--size: arrays:source.npz holds vectors" in done.err) == (2, True)
    done = cli("adapt arrays:source.npz arrays:source.npz --variation strong --backbone mlp --method source-only")
    assert (done.code, "--variation strong" in done.err) == (2, True)


def test_a_g_that_knows_nothing_is_warned_of_before_the_training(points, cli):
    line = "synthetic:blobs synthetic:blobs --steps 1 --backbone mlp"
    done = cli(f"adapt {line}")
    assert "G finds 1.00 of the similar pairs" in done.err
    assert "no better than chance" not in done.err
    rng = np.random.default_rng(0)
    np.savez("noise.npz", x=rng.normal(size=(400, 2)), y=np.arange(400) // 2)
    assert cli("train-g arrays:noise.npz --backbone mlp --hidden 8 --epochs 20 --learning-rate 0.01").code == 0
    assert cli("predict-pairs synthetic:blobs").code == 0
    done = cli(f"adapt {line}")
    assert done.code == 0
    warned = done.err.index("g.safetensors is hardly better than chance on synthetic:blobs")
    assert warned < done.err.index("epoch 1/1")


def test_a_grey_g_sees_a_colour_target_in_grey_and_says_so(cli):
    rng = np.random.default_rng(0)
    for channels, name in ((3, "colour"), (1, "grey")):
        y = np.arange(40) % 2
        pixels = rng.integers(0, 60, (40, 12, 12, channels)) + 150 * y[:, None, None, None]
        for number, (image, label) in enumerate(zip(pixels.astype(np.uint8), y, strict=True)):
            file = Path(name, f"kind{label}", f"{number}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.squeeze()).save(file)
    assert cli("train-g digits --size 8 --backbone mlp --hidden 8 --epochs 1").code == 0
    done = cli("adapt folder:colour folder:grey --size 8 --backbone mlp --steps 1")
    assert done.code == 0, done.err
    assert "folder:grey is read as grey, as the training images are" in done.err
    shape = read_cluster_nets(OUT / "adapted.safetensors")[1]["all"].architecture.shape
    assert shape == (3, 8, 8)
    done = cli("adapt digits digits --size 8 --backbone mlp --steps 1 --method source-only")
    assert "converted" not in done.err


def test_imagenet_weights_are_taken_where_they_are(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)
    published = torchvision.models.resnet18()
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    file = tmp_path / "torch" / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.savez("a.npz", x=rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8), y=np.arange(12) % 2)
    line = "arrays:a.npz arrays:a.npz --method dann --backbone resnet18 --steps 1 --learning-rate 0 --offline"

    assert "adapt: resnet18 starts from random weights: " in cli(f"adapt {line}").err
    assert read_assignments(OUT / "adapted.h5")[0].extra["weights"] == "random"

    torch.save(published.state_dict(), file)  # noqa: TID251 - the form in which the weights are published
    header, _, _ = adapted(line, cli)
    assert (header.extra["weights"], header.inputs["weights"]) == ("imagenet", sha256(file))
    [network] = read_cluster_nets(OUT / "adapted.safetensors")[1].values()
    assert torch.equal(network.backbone[0].layer4[1].conv2.weight, published.layer4[1].conv2.weight)
    assert (network.architecture.hidden, network.architecture.outputs) == (256, 2)
    assert (network.architecture.mean, network.architecture.std) == weights_statistics(Backbone.RESNET18)
    assert adapted(f"{line} --no-pretrained", cli)[0].extra["weights"] == "random"
    [network] = read_cluster_nets(OUT / "adapted.safetensors")[1].values()
    x = np.load("a.npz")["x"] / 255
    np.testing.assert_allclose(network.architecture.mean, x.mean((0, 1, 2)), rtol=1e-6)
    assert cli("train-g arrays:a.npz --backbone resnet18 --pretrained --epochs 1 --offline").code == 0
    assert read_g(OUT / "g.safetensors")[1].architecture.mean == weights_statistics(Backbone.RESNET18)[0]

    file.write_bytes(file.read_bytes()[:10_000])
    before = sha256(OUT / "adapted.h5")
    done = cli(f"adapt {line}")
    assert done.code == 3
    assert f"{file}: no weights of resnet18" in done.err
    assert sha256(OUT / "adapted.h5") == before


def test_snapshots(points, cli):
    line = "synthetic:blobs synthetic:blobs --steps 200 --backbone mlp --snapshots"
    adapted(line, cli)
    last = read_checkpoint(OUT / "adapted.safetensors", "adapted")[1]
    headers = {}
    for steps in (100, 200):
        headers[steps], state = read_checkpoint(OUT / f"adapted-{steps}.safetensors", "adapted")
        assert headers[steps].extra["steps"] == steps
        assert all(torch.equal(value, last[name]) for name, value in state.items()) == (steps == 200)
    assert cli("assign synthetic:blobs --model adapted-100.safetensors").code == 0


def test_evaluate_tells_classes_apart(points, cli):
    adapted("synthetic:blobs synthetic:blobs --steps 1 --method source-only --backbone mlp --learning-rate 0", cli)
    _, found = read_assignments(OUT / "adapted.h5")
    done = cli("evaluate --assignments adapted.h5 --json")
    fields = json.loads(done.out)
    counts = fields["confusion"]["all"]
    assert fields["per_class"]["all"].keys() == counts.keys() == set("01234")
    assert sum(sum(row.values()) for row in counts.values()) == 600
    for name in "01234":
        assert sum(row.get(name, 0) for row in counts.values()) == int((found["all"].cluster == int(name)).sum())
        assert fields["per_class"]["all"][name] == counts[name].get(name, 0) / sum(counts[name].values())
    right = sum(counts[name].get(name, 0) for name in "01234") / 600
    assert fields["mean"]["accuracy"] == pytest.approx(right)
    written = json.loads((OUT / "evaluation.json").read_text())
    assert (written["per_class"], written["confusion"]) == (fields["per_class"], fields["confusion"])
    lines = cli("evaluate --assignments adapted.h5").out.splitlines()
    assert f"accuracy/0\t{fields['per_class']['all']['0']:.4f}" in lines
    true, row = next(iter(counts.items()))
    given, count = next(iter(row.items()))
    assert f"confusion/{true}/{given}\t{count}" in lines
    assert "confusion" not in json.loads(cli("evaluate --json").out)


def test_real_digits(real_data, cli):
    """A classifier of a few batches is right on most of another part of its own domain."""
    line = "adapt usps_train usps_test --method source-only --steps 100 --backbone lenet --variation none"
    assert cli(f"{line} --data {real_data}").code == 0
    assert cli(f"evaluate --assignments adapted.h5 --fail-under accuracy=0.8 --data {real_data}").code == 0


def test_real_photos(real_data, cli):
    small = f"--backbone conv4 --size 32 --data {real_data}"
    assert cli(f"train-g office31/dslr@0-4 --hidden 16 --epochs 1 {small}").code == 0
    line = f"adapt office31/dslr@0-4 office31/webcam@0-4 --method ccn++ --steps 1 {small} --json"
    fields = json.loads(cli(line).out)
    assert fields["diagnostics"].keys() == {"entropy", "balance", "agreement"}
    shutil.rmtree(OUT)
