"""--labels and --pixel-max, from the command line to the headers and back."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clusterkit
from clusterkit.config import Backbone, Context, Kind, TrainGConfig
from clusterkit.errors import UsageError
from clusterkit.features.choice import with_training
from clusterkit.reading import Reading
from clusterkit.studies.common import runs
from tests.conftest import Cli

SMALL = "--backbone mlp --epochs 1"
KMEANS = "cluster features:points.npz --method kmeans --k 3"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with vectors and a file of their labels."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    x = np.repeat([[0, 0], [9, 0], [0, 9]], 8, axis=0) + np.random.default_rng(0).normal(size=(24, 2))
    np.savez("points.npz", x=x, names=[f"p{number}" for number in range(24)])
    write_labels("aaaaaaaabbbbbbbbcccccccc")
    return folder


def write_labels(labels: str) -> None:
    Path("truth.csv").write_text("".join(f"p{number},{label}\n" for number, label in enumerate(labels) if label != "-"))


def reading_of(path: str) -> object:
    return clusterkit.load(path).header["dataset"].get("reading")


def test_evaluate_takes_labels_for_clusters_that_were_found_without_them(cli: Cli) -> None:
    assert cli(KMEANS).code == 0
    done = cli("evaluate")
    assert (done.code, "features:points.npz has no labels to compare" in done.err, "--labels" in done.err) == (3, 1, 1)
    done = cli("evaluate --labels truth.csv")
    assert (done.code, done.out.splitlines()[0]) == (0, "acc\t1.0000"), done.err
    assert reading_of("clusterkit-out/evaluation.json") == {"labels": "labels:truth.csv"}
    write_labels("aaaaaaaabbbbbbbbcccccc--")
    assert "2 items are unlabelled" in cli("evaluate --labels truth.csv").err
    Path("clusterkit-out/evaluation.json").unlink()
    Path("truth.csv").write_text("p0,a\nq1,b\n")
    done = cli("evaluate --labels truth.csv")
    assert (done.code, done.err) == (
        3, "clusterkit: error: truth.csv: line 2: no item has the name 'q1'; correct or remove it\n",
    )  # fmt: skip
    assert not Path("clusterkit-out/evaluation.json").exists()


def test_report_shows_labels_of_another_file(cli: Cli) -> None:
    assert cli(KMEANS).code == 0
    done = cli("report --truth")
    assert (done.code, "has no labels; leave it out, or name a file of them with --labels" in done.err) == (2, True)
    done = cli("report --labels truth.csv")
    assert (done.code, "--labels works only with --truth" in done.err) == (2, True)
    done = cli("report --truth --labels truth.csv")
    assert done.code == 0, done.err
    assert "truth" in Path("clusterkit-out/clusters.csv").read_text().splitlines()[0]


def test_a_network_of_labels_in_another_file_is_found_with_them_after_a_move(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(f"train-g features:points.npz {SMALL} --hidden 8 --labels {project}/truth.csv --workdir out").code == 0
    assert str(project).encode() not in Path("out/g.safetensors").read_bytes()
    assert cli(f"pretrain features:points.npz {SMALL} --labels truth.csv --workdir out").code == 0
    assert cli("evaluate --g g.safetensors features:points.npz --labels truth.csv --workdir out").code == 0
    moved = Path(shutil.move(project, project.parent / "moved"))
    monkeypatch.chdir(project.parent)
    line = "self-train synthetic:blobs --rounds 1 --workdir moved/out"
    assert "no labels" not in cli(line).err
    (moved / "truth.csv").unlink()
    done = cli(line)
    assert (done.code, "moved/truth.csv: no such file" in done.err) == (3, True)


def test_labels_count_where_they_were_learned() -> None:
    config = with_training(
        TrainGConfig(dataset="features:points.npz", backbone=Backbone.MLP, hidden=8, epochs=1), Kind.VECTORS
    )
    reading = Reading(labels=Path("truth.csv"))
    path = runs.run_stage(config, Context(reading=reading))
    for labels, same in (("a" * 8 + "b" * 8 + "c" * 8, True), ("a" * 8 + "b" * 16, False)):
        write_labels(labels)
        assert runs.keeps(path, config, Context(reading=reading, resume=True)) == same


def test_clusters_of_true_pairs_and_the_true_number(cli: Cli) -> None:
    for flags in ("--pairs labels --k 5", "--k known --pairs labels"):
        assert cli(f"cluster features:points.npz {flags} {SMALL} --labels truth.csv").code == 0
        assert reading_of("clusterkit-out/assignments.h5") == {"labels": "labels:truth.csv"}
        done = cli("evaluate")
        assert done.code == 0, done.err


def test_automatic_pairs_do_not_depend_on_labels(cli: Cli) -> None:
    assert cli(f"train-g features:points.npz {SMALL} --hidden 8 --labels truth.csv").code == 0
    for predicted in (True, False):
        done = cli(f"cluster features:points.npz --k known {SMALL} --labels truth.csv")
        assert (done.code, "predicting pairs first" in done.err) == (0, predicted), done.err
    assert reading_of("clusterkit-out/pairs.h5") is None
    done = cli(f"cluster --k known {SMALL} --labels truth.csv")
    assert (done.code, "predicting pairs first" in done.err) == (0, False), done.err


def test_adapt_takes_labels_of_its_source(cli: Cli) -> None:
    np.savez("target.npz", x=np.random.default_rng(1).normal(size=(9, 2)))
    line = "adapt features:points.npz features:target.npz --method dann --backbone mlp --steps 1"
    done = cli(line)
    assert (done.code, "has no labels" in done.err) == (3, True)
    done = cli(f"{line} --labels truth.csv")
    assert done.code == 0, done.err
    header = clusterkit.load("clusterkit-out/adapted.h5").header
    assert (header["dataset"].get("reading"), header["extra"]["source"]["reading"]) == (
        None, {"labels": "labels:truth.csv"},
    )  # fmt: skip


def test_a_folder_without_class_folders_can_be_learned(cli: Cli) -> None:
    Path("pictures/deep").mkdir(parents=True)
    for number in range(6):
        path = Path("pictures", *(["deep"] if number % 2 else []), f"{number}.png")
        Image.new("RGB", (8, 8), (40 * number, 20, 90)).save(path)
    Path("truth.csv").write_text("0.png,a\ndeep/1.png,b\n2.png,a\ndeep/3.png,b\n")
    flags = "--flat --labels truth.csv --backbone mlp"
    done = cli(f"train-g folder:pictures {flags} --size 8 --epochs 1 --hidden 8")
    assert done.code == 0, done.err
    assert reading_of("clusterkit-out/g.safetensors") == {"flat": True, "labels": "labels:truth.csv"}
    np.savez("target.npz", x=np.zeros((4, 8, 8, 3)))
    done = cli(f"adapt folder:pictures arrays:target.npz {flags} --size 8 --method source-only --steps 1")
    assert done.code == 0, done.err
    header = clusterkit.load("clusterkit-out/adapted.h5").header
    assert (header["extra"]["classes"], "reading" in header["dataset"]) == (["a", "b"], False)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (f"{KMEANS} --labels truth.csv", 2, "--labels: cluster reads labels only with --k known or --pairs labels"),
        (f"train-g digits {SMALL} --labels truth.csv", 2, "--labels: works only with folder:PATH or arrays:FILE"),
        (f"train-g features:points.npz {SMALL} --labels no.csv", 3, "no.csv: no such file"),
        (f"train-g features:points.npz {SMALL} --labels ~no-such-user/no.csv", 2, "no such home folder"),
        (f"train-g features:points.npz {SMALL} --pixel-max 5", 2, "--pixel-max: works only with arrays:FILE"),
        (f"train-g arrays:points.npz {SMALL} --pixel-max 5", 2, "--pixel-max: points.npz holds vectors"),
        (f"train-g arrays:points.npz {SMALL} --pixel-max 0", 2, "--pixel-max 0: give a number above 0"),
        (f"train-g arrays:points.npz {SMALL} --pixel-max nan", 2, "--pixel-max nan: give a finite number"),
        ("assign features:points.npz --labels truth.csv", 2, "--labels"),
    ],
)  # fmt: skip
def test_flags_that_cannot_be_used(cli: Cli, line: str, code: int, says: str) -> None:
    done = cli(line)
    assert (done.code, says in done.err) == (code, True), done.err
    assert len(done.err.splitlines()) == 1
    assert not Path("clusterkit-out").exists()


def test_the_largest_pixel_is_read_again_as_it_was_named(cli: Cli) -> None:
    x = np.random.default_rng(0).random((8, 8, 8)) * 100
    np.savez("pictures.npz", x=x, y=np.arange(8) % 2)
    done = cli("cluster arrays:pictures.npz --method kmeans --k 2")
    assert (done.code, "name the largest possible value with --pixel-max" in done.err) == (3, True)
    assert cli("cluster arrays:pictures.npz --method kmeans --k 2 --pixel-max 100").code == 0
    assert reading_of("clusterkit-out/assignments.h5") == {"pixel_max": 100.0}
    assert cli("evaluate").code == 0
    assert cli(f"train-g arrays:pictures.npz {SMALL} --hidden 8 --pixel-max 100").code == 0
    assert cli("predict-pairs arrays:pictures.npz --pixel-max 100").code == 0
    done = cli(f"cluster arrays:pictures.npz --k 3 {SMALL} --pixel-max 200")
    assert done.code == 3
    assert "was made from arrays:pictures.npz --pixel-max 100" in done.err
    assert done.err.endswith("predict-pairs arrays:pictures.npz --pixel-max 200\n")
    assert cli(f"cluster --k 3 {SMALL}").code == 0


def test_settings_of_other_data_are_not_recorded() -> None:
    reading = Reading(flat=True, pixel_max=5, labels=Path("a.csv"))
    assert reading.of("folder") == Reading(flat=True, labels=Path("a.csv"))
    assert reading.of("arrays") == Reading(pixel_max=5, labels=Path("a.csv"))
    assert reading.of("features") == Reading(labels=Path("a.csv"))
    assert reading.of("digits") == Reading()
    assert Reading.recorded({"reading": reading.to_header()}) == reading
    assert reading.flags() == ["--flat", "--pixel-max", "5", "--labels", "a.csv"]
    with pytest.raises(UsageError, match="--pixel-max -1"):
        Reading(pixel_max=-1)
