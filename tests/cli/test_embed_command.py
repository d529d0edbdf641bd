"""clusterkit embed, and clusters from its features."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.__main__ import main
from clusterkit.artifacts.features import FeatureSet, read_features, write_features
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.lineage import again
from clusterkit.config import cache_folder
from clusterkit.errors import InputError
from tests.conftest import Cli, Done, once
from tests.features.weights_of import weights_of
from tests.forked import program
from tests.test_distributed import fork_two

EMBED = "embed folder:pics --backbone timm:test_vit --weights w.safetensors"
OUT = Path("clusterkit-out")
FILE = OUT / "features.h5"
COLOURS = ("red", "green", "blue")


def build(folder: Path) -> None:
    """Pictures of three colours with a class each, weights, and the features."""
    weights_of("test_vit", folder / "w.safetensors")
    random = np.random.default_rng(0)
    for number in range(12):
        colour = COLOURS[number % 3]
        place = folder / "pics" / colour
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[..., number % 3] = 200 + number
        pixels += random.integers(0, 20, pixels.shape, dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    words = EMBED.replace(":pics", f":{folder}/pics").replace(" w.", f" {folder}/w.").split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main([*words, "--workdir", str(folder / OUT), "--quiet"]) == 0
    shutil.rmtree(folder / "cache")


@pytest.fixture(scope="session")
def embedded_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "pictures", build)


@pytest.fixture(autouse=True)
def _pictures(embedded_made: Path, tmp_path: Path) -> None:
    shutil.copytree(embedded_made, tmp_path, dirs_exist_ok=True)


def fails(done: Done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, ""), done
    last = done.err.splitlines()[-1]
    assert last.startswith("clusterkit: error: ")
    assert done.err.count("error: ") == 1
    for word in words:
        assert word in last


def test_features_are_written_once_and_counted(cli: Cli) -> None:
    shutil.rmtree(OUT)
    done = cli(EMBED)
    assert (done.code, done.out) == (0, f"{FILE}\n"), done.err
    assert "clusterkit: embed: 12 items of folder:pics: 12 new, 0 kept\n" in done.err
    before = sha256(FILE)
    header, subsets = read_features(FILE)
    assert (header.format, header.stage, header.dataset["name"]) == ("features", "embed", "folder:pics")
    [model] = header.dataset["features"]
    assert (model["name"], model["sha256"], model["weights"]) == (
        "timm:test_vit", sha256(Path("w.safetensors")), "weights:w.safetensors",
    )  # fmt: skip
    assert subsets["all"].x.shape == (12, 64)
    assert subsets["all"].name_digest is not None
    done = cli(f"{EMBED} --json --quiet")
    assert json.loads(done.out) == {
        "artifact": str(FILE), "dataset": "folder:pics", "items": 12, "new": 0, "kept": 12, "copies": 0, "width": 64,
        "backbones": [{"name": "timm:test_vit", "licence": model["licence"]}], "warnings": [],
    }  # fmt: skip
    assert sha256(FILE) == before
    assert sorted(path.name for path in OUT.iterdir()) == ["features.h5"]
    shutil.rmtree(cache_folder())
    assert cli(EMBED).code == 0
    assert sha256(FILE) == before
    shown = cli("inspect clusterkit-out/features.h5").out
    assert "content.all.x\tfloat32 [12, 64]\n" in shown
    assert "/" not in shown.split("header.dataset.features")[1].split("\n")[0]


def test_two_processes_write_the_same_bytes(cli: Cli, tmp_path: Path) -> None:
    shutil.copytree("pics", "two/pics")
    shutil.copy("w.safetensors", "two")
    first, second = fork_two(tmp_path / "two", program, EMBED)
    assert (first[:2], second) == ((0, f"{FILE}\n"), (0, "", "")), first
    assert "12 new, 0 kept" in first[2]
    assert len(list(cache_folder().rglob("*.rows"))) == 2
    assert sha256(tmp_path / "two" / FILE) == sha256(FILE)


def test_methods_cluster_the_features(cli: Cli) -> None:
    for method in ("kmeans", "spectral"):
        done = cli(f"cluster folder:pics --method {method} --k 3 --features features.h5")
        assert done.code == 0, done.err
        header, _ = read_hdf5(OUT / "assignments.h5", "assignments")
        assert header.inputs == {"features": sha256(FILE)}
        assert "features" not in header.dataset
        scores = json.loads(cli("evaluate --json").out)
        assert scores["mean"]["acc"] == 1
    done = cli("report")
    assert done.code == 0, done.err
    page = (OUT / "report.html").read_text(encoding="utf-8")
    assert "The features of the pictures are those of timm:test_vit (licence: " in page
    assert "the features of a fixed backbone" in page
    FILE.unlink()
    done = cli("report")
    assert done.code == 0, done.err
    assert "features.h5 is not beside the assignments" in done.err


def test_features_of_other_pictures_are_refused(cli: Cli) -> None:
    shutil.copytree("pics", "others")
    Image.new("RGB", (9, 9)).save("others/red/new.png")
    line = "cluster folder:pics --method kmeans --k 3 --features features.h5"
    again = "run: clusterkit embed folder:{} --backbone timm:test_vit --weights w.safetensors"
    fails(
        cli(line.replace("pics", "others")), 3, f"{FILE}: was made from folder:pics, not from folder:others",
        again.format("others"),
    )  # fmt: skip
    fails(cli(line.replace(":pics", ":pics@0-1")), 3, f"{FILE}: holds features of other items than folder:pics@0-1")
    Image.new("RGB", (9, 9)).save("pics/red/new.png")
    fails(cli(line), 3, f"{FILE}: the content of folder:pics has changed", "1 file is new", again.format("pics"))
    np.savez("a.npz", x=np.ones((12, 3)))
    fails(cli(line.replace("folder:pics", "arrays:a.npz")), 3, f"{FILE}: was made from folder:pics")


def test_features_of_another_backbone_than_the_pairs_are_refused(cli: Cli) -> None:
    weights_of("test_resnet", Path("r.safetensors"))
    train = "train-g folder:pics --backbone timm:test_resnet --weights r.safetensors"
    assert cli(train).code == 0
    assert cli("predict-pairs folder:pics").code == 0
    fails(
        cli("cluster --method mpckmeans --k 3 --features features.h5"), 3,
        f"{FILE}: holds features by other backbones than the pairs", "--backbone timm:test_resnet",
    )  # fmt: skip
    Path("moved").mkdir()
    shutil.copy("r.safetensors", "moved")
    assert cli("embed folder:pics --backbone timm:test_resnet --weights moved/r.safetensors").code == 0
    assert again(read_features(FILE)[0], FILE).endswith("--weights moved/r.safetensors")
    assert cli("cluster --method mpckmeans --k 3 --features features.h5").code == 0


def test_features_go_with_pairs_of_a_trained_network_of_another_size(cli: Cli) -> None:
    assert cli("train-g folder:pics --backbone mlp --hidden 8 --epochs 1 --size 16").code == 0
    assert cli("predict-pairs folder:pics").code == 0
    done = cli("cluster --method mpckmeans --k 3 --features features.h5")
    assert done.code == 0, done.err
    Image.new("RGB", (9, 9)).save("pics/red/new.png")
    assert cli("predict-pairs folder:pics").code == 0
    fails(
        cli("cluster --method mpckmeans --k 3 --features features.h5"), 3,
        f"{FILE}: the content of folder:pics has changed", "1 file is new",
    )  # fmt: skip


def test_arrays_and_their_features(cli: Cli) -> None:
    random = np.random.default_rng(0)
    np.savez("a.npz", x=random.integers(0, 256, (9, 48, 48, 3), dtype=np.uint8))
    assert cli(EMBED.replace("folder:pics", "arrays:a.npz")).code == 0
    assert read_features(FILE)[0].dataset["size"] == 48
    done = cli("cluster arrays:a.npz --method kmeans --k 3 --features features.h5")
    assert done.code == 0, done.err
    np.savez("a.npz", x=random.integers(0, 256, (9, 48, 48, 3), dtype=np.uint8))
    fails(
        cli("cluster arrays:a.npz --method kmeans --k 3 --features features.h5"), 3,
        f"{FILE}: the content of arrays:a.npz has changed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "no such file; make it with: clusterkit embed DATASET"),
        ("empty", "empty; make it again with: clusterkit embed DATASET"),
        ("truncated", "damaged"),
        ("flipped", "damaged"),
        ("foreign", "not a clusterkit features file"),
        ("folder", "cannot be read"),
        ("pairs", "holds assignments, not features; make one with: clusterkit embed DATASET"),
    ],
)
def test_a_damaged_file_of_features(kind: str, word: str, cli: Cli) -> None:
    data = FILE.read_bytes()
    changed = {
        "empty": b"", "truncated": data[: len(data) // 2], "foreign": b"PK\x03\x04" + bytes(500),
        "flipped": data[:-500] + bytes([data[-500] ^ 1]) + data[-499:],
    }  # fmt: skip
    FILE.unlink()
    if kind in changed:
        FILE.write_bytes(changed[kind])
    elif kind == "folder":
        FILE.mkdir()
    elif kind == "pairs":
        cli("cluster folder:pics --method kmeans --k 3")
        shutil.copy(OUT / "assignments.h5", FILE)
    fails(cli("cluster folder:pics --method kmeans --k 3 --features features.h5"), 3, f"{FILE}: {word}")


def rewritten(change: str) -> None:
    header, subsets = read_features(FILE)
    x = subsets["all"].x.copy()
    if change == "nan":
        x[3, 2] = np.nan
    elif change == "zero":
        x[:2] = 0
    elif change == "constant":
        x[:, :5] = 7
        x[:, 5] = 0
    write_features(FILE, header, {"all": FeatureSet(subsets["all"].id, x, subsets["all"].name_digest)})


def test_odd_features(cli: Cli) -> None:
    line = "cluster folder:pics --method {} --k 3 --features features.h5"
    whole = FILE.read_bytes()
    for change in ("zero", "constant"):
        FILE.write_bytes(whole)
        rewritten(change)
        for method in ("kmeans", "spectral", "lsc", "lpnmf"):
            assert cli(line.format(method)).code == 0
    rewritten("nan")
    fails(cli(line.format("kmeans")), 3, f"{FILE}: some features of all are no finite numbers")
    with pytest.raises(InputError):
        read_features(FILE)
    FILE.write_bytes(whole)
    header, subsets = read_features(FILE)
    write_features(FILE, header, {**subsets, "more": FeatureSet(subsets["all"].id[:4], subsets["all"].x)})
    fails(cli(line.format("kmeans")), 3, f"{FILE}: more/x is <f4 of shape")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("embed", 2, ["dataset"]),
        ("embed nowhere", 2, ["unknown data set 'nowhere'"]),
        ("embed folder:missing --backbone timm:test_vit --weights w.safetensors", 3, ["missing"]),
        (EMBED.replace("timm:test_vit", "conv4"), 2, ["--backbone conv4: is trained; name a fixed one"]),
        (f"{EMBED} --weights w.safetensors", 2, ["--weights: files given: 2, backbones: 1"]),
        (f"{EMBED} --size 4", 2, ["--size"]),
        (EMBED.replace("w.safetensors", "none.safetensors"), 3, ["none.safetensors: no such file"]),
        (
            "embed folder:pics --offline --data nodata",
            3,
            ["(--offline is set)", "--weights"],
        ),
        (
            "cluster folder:pics --method kmeans --features none.h5",
            3,
            ["none.h5: no such file; name an existing file, or make one with: clusterkit embed DATASET"],
        ),
        (EMBED.replace("folder:pics", "synthetic:blobs"), 3, ["synthetic:blobs holds vectors"]),
        (EMBED.replace("folder:pics", "features:a.npz"), 3, ["features:a.npz holds vectors"]),
        (f"{EMBED} --workdir w.safetensors", 3, ["w.safetensors/: cannot be written"]),
    ],
)
def test_a_refused_command_leaves_nothing(line: str, code: int, words: list[str], cli: Cli, tmp_path: Path) -> None:
    np.savez("a.npz", x=np.ones((12, 3)))
    before = sorted(tmp_path.rglob("*"))
    fails(cli(line), code, *words)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unreadable_picture_is_named_or_left_out(cli: Cli) -> None:
    Path("pics/red/0.png").write_bytes(b"no picture")
    fails(cli(EMBED), 3, "pics/red/0.png: not a readable image", "--skip-bad")
    done = cli(f"{EMBED} --skip-bad")
    assert done.code == 0
    assert "embed: 11 items of folder:pics: 11 new, 0 kept" in done.err


def test_no_room_for_the_file_is_found_before_the_work(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(OUT)
    full = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    monkeypatch.setattr("clusterkit.artifacts.work_folder.LEAST_FREE", 0)
    monkeypatch.setattr("clusterkit.stages.embed.embed", lambda *_: pytest.fail("the work has begun"))
    fails(cli(EMBED), 3, f"{FILE}: cannot be written (it needs 3.07 kB, but only 1 kB are free)")


def test_help_says_how_to_go_on(cli: Cli) -> None:
    text = re.sub(r"\s+", " ", cli("embed --help").out)
    assert "repeat the command: it goes on where it ended, without --resume" in text
