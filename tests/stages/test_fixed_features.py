"""The stages on features of fixed backbones, through the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.summary import summarise
from tests.conftest import Cli
from tests.features.weights_of import weights_of

OUT = Path("clusterkit-out")
FIXED = "--backbone timm:test_vit --weights vit.safetensors"
HUES = (0, 40, 80, 120, 160, 200, 20, 100)


def draw(folder: Path, classes: range, each: int, *, flat: bool = False) -> None:
    """Write pictures of two halves, whose colours a class has in common."""
    random = np.random.default_rng(classes.start)
    for number in classes:
        for item in range(each):
            place = folder if flat else folder / f"class{number}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = np.full((24, 24, 3), 200.0)
            pixels[:, :, 0], pixels[12:, :, 1] = HUES[number], HUES[-number]
            pixels[:, 12:, 2] = 255 - HUES[number]
            pixels += random.normal(size=pixels.shape) * 20 + random.normal() * 10
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}-{item}.png")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of five classes, an unlabelled one of three others, and weights."""
    place = tmp_path_factory.mktemp("album")
    draw(place / "labelled", range(5), 6)
    draw(place / "photos", range(5, 8), 8)
    weights_of("test_vit", place / "vit.safetensors")
    weights_of("test_resnet", place / "resnet.safetensors")
    return place


@pytest.fixture(autouse=True)
def _here(album: Path) -> None:
    for path in album.iterdir():
        if path.is_dir():
            shutil.copytree(path, path.name)
        else:
            shutil.copy(path, path.name)


def header_of(name: str) -> dict[str, Any]:
    header: dict[str, Any] = summarise(OUT / name)["header"]
    return header


def run(cli: Cli, *lines: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for line in lines:
        done = cli(f"{line} --json")
        assert done.code == 0, done.err
        fields = json.loads(done.out)
    return fields


def test_a_correction_goes_from_labelled_pictures_to_clusters_of_others(cli: Cli) -> None:
    trained = run(cli, f"train-g folder:labelled {FIXED}")
    assert trained["held_out"] == {}
    worth = trained["correction"]["worth"]
    assert [worth[0]["strength"], worth[0]["share"]] == [0, 0]
    assert {"acc", "nmi"} <= set(worth[0])
    g = header_of("g.safetensors")
    assert g["extra"]["correction"] == trained["correction"]
    assert [entry["name"] for entry in g["extra"]["learned_from"]] == ["folder:labelled"]
    [model] = g["dataset"]["features"]
    assert (model["name"], model["weights"]) == ("timm:test_vit", "weights:vit.safetensors")
    assert g["config"]["backbone"] == "timm:test_vit"
    run(cli, "predict-pairs folder:photos")
    pairs, groups = read_hdf5(OUT / "pairs.h5", "pairs")
    assert [model["sha256"]] == [entry["sha256"] for entry in pairs.dataset["features"]]
    assert set(groups["all"]) >= {"id", "z", "scale", "bias"}
    np.testing.assert_allclose(np.linalg.norm(groups["all"]["z"], axis=1), 1, rtol=1e-5)
    # The same weights are the same backbone, wherever they lie.
    shutil.copy("vit.safetensors", "copy.safetensors")
    embed = f"embed folder:photos {FIXED}".replace("vit.safetensors", "copy.safetensors")
    run(cli, embed, "cluster --k 3 --method mpckmeans --features features.h5")
    run(cli, "cluster --k 3")
    assert header_of("assignments.h5")["config"]["options"]["init"] == "g"
    scores = run(cli, "evaluate")["mean"]
    assert scores["acc"] > 0.8
    # The network of the clusters sorts other pictures, by the same backbone.
    rows = run(cli, "assign photos/class5/5-0.png photos/class6/6-0.png")["rows"]
    assert len({row["cluster"] for row in rows}) == 2
    assert run(cli, "report")["artifact"].endswith("report.html")


def test_labels_of_the_target_change_nothing(cli: Cli) -> None:
    lines = (f"train-g folder:labelled {FIXED}", "predict-pairs folder:photos", "estimate-k", "cluster --k 3")
    run(cli, *lines)
    before = {name: read_hdf5(OUT / name, "pairs|assignments")[1]["all"] for name in ("pairs.h5", "assignments.h5")}
    estimate = json.loads((OUT / "k.json").read_text())["recommended"]
    # Every picture goes to the folder of another class; the names keep the order.
    for file in sorted(Path("photos").rglob("*.png")):
        target = Path("mixed") / f"class{file.name}" / file.name
        target.parent.mkdir(parents=True)
        shutil.copy(file, target)
    shutil.rmtree("photos")
    run(cli, "predict-pairs folder:mixed", "estimate-k", "cluster --k 3")
    assert json.loads((OUT / "k.json").read_text())["recommended"] == estimate
    for name, arrays in before.items():
        after = read_hdf5(OUT / name, "pairs|assignments")[1]["all"]
        for key in ("z", "cluster", "prob"):
            if key in arrays:
                np.testing.assert_array_equal(after[key], arrays[key])


def test_without_labels_or_with_two_classes_the_similarity_is_the_features_own(cli: Cli) -> None:
    draw(Path("two"), range(2), 6)
    for words, cause in (
        ("folder:photos --unlabelled", "--unlabelled is set"),
        ("folder:photos --flat", "it has none"),
        ("folder:two", "it has fewer than three classes of two items or more"),
    ):
        done = cli(f"train-g {words} {FIXED} --json")
        assert f"no labels of {words.split()[0]} were used ({cause}), so the features decide alone" in done.err
        assert json.loads(done.out)["correction"]["worth"] == []
        _, state = read_checkpoint(OUT / "g.safetensors", "g")
        assert not state["head.within"].any()
        assert header_of("g.safetensors")["extra"]["learned_from"] == []
    run(cli, "predict-pairs folder:photos", "cluster --method agglomerative --k 3")
    # Weights are random and classes are few, so chance gives about a half.
    assert run(cli, "evaluate")["mean"]["acc"] > 0.7


def test_the_same_seed_gives_the_same_bytes(cli: Cli) -> None:
    names = ("g.safetensors", "pairs.h5", "assignments.h5", "ccn.safetensors")
    lines = (f"train-g folder:labelled {FIXED}", "predict-pairs folder:photos", "cluster --k 3")
    run(cli, *lines)
    first = [(OUT / name).read_bytes() for name in names]
    shutil.rmtree(OUT)
    run(cli, *lines)
    assert [(OUT / name).read_bytes() for name in names] == first


def test_a_pair_head_on_the_same_features(cli: Cli) -> None:
    run(cli, f"train-g folder:labelled {FIXED} --head pair --epochs 2 --hidden 16", "predict-pairs folder:photos")
    network = header_of("g.safetensors")["extra"]["network"]
    assert (network["backbone"], network["shape"]) == ("mlp", [64])
    # A command that makes the file again must not name a variation, which would be refused.
    assert header_of("g.safetensors")["config"]["variation"] is None
    assert "logit" in read_hdf5(OUT / "pairs.h5", "pairs")[1]["all"]
    run(cli, "cluster --k 3 --init g --epochs 2")
    # Pairs of features that only name the set leave its pictures to other methods and networks.
    assert cli("pretrain folder:labelled --backbone mlp --epochs 1").code == 0
    network = "clusterkit-out/pretrained.safetensors"
    for words in (
        "--method kmeans", f"--method kmeans --features {network}", f"folder:photos --init {network} --epochs 1"
    ):  # fmt: skip
        run(cli, f"cluster {words} --k 3")
        assert "features" not in header_of("assignments.h5")["dataset"], words


def test_vectors_of_the_user_can_have_a_metric(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for name, classes in (("a", 6), ("t", 4)):
        y = np.repeat(np.arange(classes), 10)
        x = 3 * random.normal(size=(classes, 8))[y] + random.normal(size=(len(y), 8))
        np.savez(f"{name}.npz", x=x, y=y)
    run(cli, "train-g features:a.npz --head metric")
    done = cli("predict-pairs features:t.npz --form dense")
    assert (done.code, "g.safetensors is a metric of fixed features" in done.err) == (2, True)
    assert not (OUT / "pairs.h5").exists()
    # No room is needed for a matrix that is not written.
    monkeypatch.setattr("clusterkit.stages.predict_pairs.dense_bytes", lambda _: 2**80)
    run(cli, "predict-pairs features:t.npz", "cluster --k 4 --method agglomerative")
    for flag in ("--loss kcl", "--loss ccl", "--backbone mlp", "--precision bf16"):
        done = cli(f"cluster --k 4 {flag}")
        assert (done.code, f"{flag.split()[0]}" in done.err, done.err.count("\n")) == (2, True, 1), done.err
    assert run(cli, "evaluate")["mean"]["acc"] > 0.9
    assert header_of("g.safetensors")["config"]["backbone"] is None
    # A clustering can start from it, but no training of G.
    shutil.move(OUT / "g.safetensors", "metric.safetensors")
    done = cli("train-g features:a.npz --init metric.safetensors")
    assert (done.code, "metric.safetensors: a metric of fixed features is no start" in done.err) == (3, True)
    assert not (OUT / "g.safetensors").exists()
    run(cli, "cluster features:t.npz --k 4 --method kmeans --features metric.safetensors")
    assert run(cli, "evaluate")["mean"]["acc"] > 0.9


def test_a_network_is_used_with_its_own_backbone(cli: Cli) -> None:
    run(cli, f"train-g folder:labelled {FIXED}", "predict-pairs folder:photos")
    shutil.copy("resnet.safetensors", "vit.safetensors")
    shutil.rmtree(Path.cwd().with_name(f"{Path.cwd().name}-cache"))
    done = cli("predict-pairs folder:photos")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "not the weights of timm:test_vit that were used" in done.err
    Path("vit.safetensors").unlink()
    done = cli("predict-pairs folder:photos --offline")
    assert done.code == 3
    assert "vit.safetensors is gone" in done.err
    done = cli("evaluate --assignments clusterkit-out/pairs.h5")
    assert done.code == 3


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            f"train-g folder:labelled {FIXED} --epochs 3",
            2,
            "--epochs: a metric of fixed features is not trained in steps",
        ),
        (f"train-g folder:labelled {FIXED} --pretrained", 2, "has weights of its own"),
        ("train-g digits --weights vit.safetensors", 2, "--weights: belongs to fixed backbones"),
        ("train-g folder:labelled --weights vit.safetensors", 3, "no weights of timm:vit_small_patch14_dinov2"),
        ("train-g folder:labelled --epochs 1", 2, "use --head pair; --backbone conv4 trains a network"),
        ("train-g cifar10_test --epochs 1", 2, "--backbone conv4 trains a network"),
        (f"train-g folder:absent {FIXED} --epochs 1", 2, "--epochs: a metric"),
        ("train-g folder:labelled --backbone conv4 --head metric", 2, "--head metric: corrects features"),
        ("train-g folder:labelled --backbone timm:", 2, "write timm:NAME, torchvision:NAME or clusterkit:characters"),
        ("train-g folder:labelled --backbone convv4", 2, "--backbone convv4: choose one of"),
        ("train-g folder:labelled --backbone characters", 2, "torchvision:NAME or clusterkit:characters"),
        (f"train-g digits {FIXED} --weights resnet.safetensors", 2, "--weights: files given: 2, backbones: 1"),
        (
            "train-g folder:labelled --offline",
            3,
            "name it by --weights FILE; --backbone conv4 trains a network\n",
        ),
        (f"train-g folder:labelled {FIXED} --resume", 2, "--resume: a metric of fixed features"),
        (f"train-g folder:labelled {FIXED} --unlabelled --labels y.csv", 2, "--labels: --unlabelled reads no labels"),
        *(
            (f"train-g {name} {FIXED} --head pair --variation {value}", 2, f"--variation {value}: changes pictures")
            for name in ("folder:absent", "cifar10_test")
            for value in ("mild", "none", "strong")
        ),
        (f"train-g folder:absent {FIXED} --head pair --unlabelled", 2, "use --head metric, or leave it out"),
        ("train-g synthetic:moons --unlabelled", 2, "use --head metric, or leave it out"),
        ("train-g folder:labelled --unlabelled --backbone conv4", 2, "use a fixed --backbone, or leave it out"),
        ("train-g digits --unlabelled --init g.safetensors", 2, "--unlabelled: --init starts a training"),
        (f"train-g synthetic:moons {FIXED}", 2, "reads images, but synthetic:moons holds vectors"),
    ],
)
def test_flags_that_contradict_each_other(line: str, code: int, message: str, cli: Cli) -> None:
    done = cli(line)
    assert (done.code, message in done.err) == (code, True), done.err
    assert done.err.strip().count("\n") <= 1
    assert not (OUT / "g.safetensors").exists()


def test_how_pictures_are_read_is_said_where_it_is_so(cli: Cli) -> None:
    text = "all are read as colour, 64 x 64"
    Image.new("RGB", (30, 20), "red").save("labelled/class0/other.png")
    assert text not in cli("train-g folder:labelled --offline").err
    assert cli(f"embed folder:labelled {FIXED}").code == 0
    done = cli("cluster folder:labelled --features features.h5 --method kmeans --k 3")
    assert (done.code, text in done.err) == (0, False), done.err
    assert text in cli("train-g folder:labelled --backbone mlp --hidden 8 --epochs 1").err


def test_self_train_refuses_what_is_not_trained(cli: Cli) -> None:
    for head in ("metric", "pair --epochs 1 --hidden 8"):
        run(cli, f"train-g folder:labelled {FIXED} --head {head}")
        done = cli("self-train folder:photos")
        assert (done.code, "fixed features are not trained" in done.err) == (2, True)
