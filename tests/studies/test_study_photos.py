"""The study of photos, on small generated folders and a small model with random weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.config import Context
from clusterkit.losses import Loss
from clusterkit.methods import METHODS, ccn
from clusterkit.methods.common.joint_options import SourceOptions
from clusterkit.metrics.clustering import accuracy
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import Fixed
from clusterkit.studies import photos
from clusterkit.studies.common import photo_tables, samples
from clusterkit.studies.common.driver import Outcome
from clusterkit.studies.common.samples import Sample
from clusterkit.studies.common.tables import markdown, where
from clusterkit.studies.common.yardsticks import YARDSTICKS, Points, gentle
from tests.study_files import check_files, read_rows

MODEL = "timm:test_efficientnet"
OPTIONS = photos.PhotosOptions(backbone=Fixed((MODEL,)), size=32, seeds=1)


def draw(folder: Path, images: int, classes: int = 10, seed: int = 0) -> None:
    """Write noisy images of one colour a class."""
    noise = np.random.default_rng(seed)
    for number in range(classes):
        place = folder / f"class {number}"
        place.mkdir(parents=True)
        colour = [number * 67 % 256, (number * 131 + 40) % 256, (number * 29 + 90) % 256]
        for image in range(images):
            pixels = np.clip(colour + noise.normal(0, 15, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{image}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos and of CIFAR-10, with the weights of the model."""
    import timm
    import torch
    from safetensors.torch import save_file

    root = tmp_path_factory.mktemp("photos")
    draw(root / "photos" / "eurosat", 8)
    draw(root / "cifar10" / "train", 5, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("test_efficientnet").state_dict(), root / "weights.safetensors")
    return root


@pytest.fixture(autouse=True)
def small(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    monkeypatch.setattr(photos, "EPOCHS", 1)
    monkeypatch.setattr(ccn, "BATCHES", dict.fromkeys(Loss, 2))


def line(root: Path, *words: str) -> list[str]:
    weights = root / "weights.safetensors"
    shared = f"reproduce photos --data {root} --backbone {MODEL} --weights {weights} --size 32 --seeds 1"
    return [*shared.split(), *words]


def test_all_methods_on_the_same_features(cli, root, tmp_path):
    words = line(root, "--set", "eurosat", "--set", "cifar10-all", "--json", "--resume")
    done = cli(words)
    assert done.code == 0, done.err
    rows = check_files("photos", OPTIONS)
    with_a, known = list(photos.TITLES), where(rows, metric="acc", k="known")
    assert [row.method for row in where(known, set="eurosat")] == with_a
    assert [row.method for row in where(known, set="cifar10-all")] == [
        *YARDSTICKS,
        "consensus-plain",
        "consensus",
        "default",
        *(name for name in photo_tables.JOINT if not issubclass(METHODS[name].options, SourceOptions)),
    ]
    assert [row.set for row in where(rows, metric="acc", k="auto")] == ["eurosat", "cifar10-all"]
    assert all(0 <= row.value <= 1 and row.seconds >= 0 for row in where(rows, metric="acc"))
    facts = json.loads(done.out)["sets"]
    assert facts["eurosat"]["items"] == [40, 40]
    assert facts["cifar10-all"]["classes"] == [10]
    text = (tmp_path / "clusterkit-out" / "photos" / "photos.md").read_text()
    assert "| eurosat | 5 | 40 | 5 | 40 |" in text
    assert "| cifar10-all |  |  | 10 | 50 |" in text
    again = cli(words)
    assert again.code == 0, again.err
    assert {line.split()[3] for line in again.err.splitlines() if "$ clusterkit" in line} == {"estimate-k"}


def test_labels_of_t_change_scores_alone(cli, root, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos").symlink_to(root / "photos")
    words = line(
        root,
        "--data",
        "data",
        "--method",
        "default",
        "--method",
        "ccn-kcl",
        "--method",
        "kmeans",
        "--method",
        "supreme",
    )
    done = cli(words)
    assert done.code == 0, done.err
    assert "caltech101 is not in data and is left out; add it with --set caltech101" in done.err
    linked = samples.linked

    def shuffled(name: str, images: int, most: int, place: Path, *rest) -> Sample:
        sample = linked(name, images, most, place, *rest)
        if place.name != "t":
            return sample
        classes = tuple(np.random.default_rng(0).permutation(sample.classes).tolist())
        names = sorted(file.name for file in place.iterdir())
        pairs = zip(names, classes, strict=True)
        sample.labels.write_text("\n".join(f"{file},{label}" for file, label in pairs) + "\n")
        return replace(sample, classes=classes)

    monkeypatch.setattr(samples, "linked", shuffled)
    assert cli([*words, "--workdir", "shuffled"]).code == 0
    folders = tmp_path / "clusterkit-out" / "photos", tmp_path / "shuffled" / "photos"
    first, second = ({file.relative_to(folder): file for file in folder.rglob("assignments.h5")} for folder in folders)
    assert first.keys() == second.keys()
    assert len(first) >= 3
    for name, file in first.items():
        before, after = (read_assignments(path)[1]["all"].cluster for path in (file, second[name]))
        assert before.tolist() == after.tolist(), name
    values = [
        {(row.method, row.k): row.value for row in where(read_rows(folder), metric=["acc", "estimate"])}
        for folder in folders
    ]
    changed = {key for key, value in values[0].items() if values[1][key] != value}
    assert changed == {(name, "known") for name in ("kmeans", "ccn-kcl", "default", "supreme")} | {("default", "auto")}


def test_samples_share_the_images_of_a_class(root, tmp_path):
    context = Context(data=root)
    read = samples.reader(context)

    def sample(name: str, images: int, most: int = 4000) -> Sample:
        return samples.linked(name, images, most, tmp_path / f"{images}-{most}", context, read)

    def files(sample: Sample) -> set[Path]:
        return {file.resolve() for file in sample.folder.iterdir()}

    most, some, few = sample("cifar10_train@0-4", 4), sample("cifar10_train", 3), sample("cifar10_train", 5, 20)
    assert [len(files(one)) for one in (most, some, few)] == [20, 30, 20]
    assert (most.k, some.k, few.k) == (5, 10, 10)
    assert len(files(most) & files(some)) == 15
    assert files(few) < files(some)
    # The order of the images shows no class.
    assert list(most.classes) != sorted(most.classes)
    lines = most.labels.read_text().splitlines()
    assert lines[0] == "name,label"
    by_line = dict(line.split(",") for line in lines[1:])
    assert all(by_line[file.name] == file.resolve().parent.name for file in most.folder.iterdir())


def test_images_without_files_are_written(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 256, (6, 3, 9, 9), np.uint8), y=[0, 1] * 3)
    context = Context()
    sample = samples.linked(f"arrays:{tmp_path}/x.npz", 2, 10, tmp_path / "t", context, samples.reader(context))
    assert sorted(sample.classes) == ["0", "0", "1", "1"]
    with Image.open(tmp_path / "t" / "00000.png") as image:
        assert image.mode == "RGB"


def test_the_gentle_metric():
    assert tuple(YARDSTICKS) == photo_tables.BEST_OF
    noise = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    centres = 6 * noise.normal(size=(8, 3))
    stretch = np.array([30.0, 1, 1])
    source, target = (centres[part][labels] + stretch * noise.normal(size=(200, 3)) for part in (range(4), range(4, 8)))
    points = Points(target, source, labels)
    z = gentle(points, 4)
    assert z.shape == (200, 3)
    assert np.allclose(np.linalg.norm(z, axis=1), 1)
    scores = {name: accuracy(YARDSTICKS[name](points, 4, 0), labels) for name in YARDSTICKS}
    assert scores["kmeans-metric"] > scores["kmeans"] + 0.1
    assert np.allclose(
        np.abs(gentle(Points(target), 4) @ gentle(Points(3 * target + 1), 4).T),
        np.abs(gentle(Points(target), 4) @ gentle(Points(target), 4).T),
    )


def fact(k: int, correction: dict[str, object] | None = None, *, source: bool = True) -> dict[str, object]:
    return {"classes": [k] * (1 + source), "items": [90] * (1 + source), "correction": correction, "seconds": {}}


def made(name: str, method: str, acc: float, k: str = "known", seed: int = 0) -> list[Row]:
    fields = {"subset": "mean", "method": method, "k": k, "seed": seed, "seconds": 1.26}
    return rows_of({"acc": acc, "nmi": acc, "ari": acc}, set=name, **fields)


def test_tables():
    rows = [
        *made("eurosat", "kmeans", 0.6), *made("eurosat", "kmeans", 0.8, seed=1), *made("eurosat", "spectral", 0.72),
        *made("eurosat", "ccn-kcl", 0.4), *made("eurosat", "consensus-plain", 0.7),
        *made("eurosat", "consensus", 0.75), *made("eurosat", "default", 0.75),
        *made("eurosat", "default", 0.65, "auto"), *made("cifar10-all", "default", 0.5),
        *made("cifar10-all", "kmeans", 0.6), *made("cifar10-all", "spectral", 0.5),
        *(
            Row(set=name, subset="mean", method="estimate-k", k="auto", seed=seed, metric="estimate", value=value)
            for name, seed, value in (("eurosat", 0, 4), ("eurosat", 1, 6), ("cifar10-all", 0, 10))
        ),
    ]  # fmt: skip
    forms = [{"strength": 0, "share": 0, "acc": 0.8}, {"strength": 0.5, "share": 0.5, "acc": 0.7}]
    correction = {"strength": 0.5, "share": 0.5, "worth": forms}
    facts = {"cifar10-all": fact(10, source=False), "eurosat": fact(5, correction)}
    text = markdown(photos.document(OPTIONS, Outcome(rows, {"sets": facts})))
    for row in (
        "| row | k-means | spectral | CCN, KCL | consensus, plain | consensus | default | best yardstick "
        "| default's lead |",
        "| eurosat | 0.700 | 0.720 | 0.400 | 0.700 | 0.750 | 0.750 | 0.720 | +0.030 |",
        "| cifar10-all | 0.600 | 0.500 |  |  |  | 0.500 | 0.600 | -0.100 |",
        "| mean of rows with A | 0.700 | 0.720 | 0.400 | 0.700 | 0.750 | 0.750 | 0.720 | +0.030 |",
        "| mean | 0.650 | 0.610 |  |  |  | 0.625 | 0.660 | -0.035 |",
        "| eurosat | 5 | 5.0 ± 1.4 | 20 % | 0.650 |",
        "| cifar10-all | 10 | 10.0 | 0 % |  |",
        "| mean |  |  | 10 % |  |",
        "| eurosat | 0.800 | 0.700 | -0.100 | 0.700 | 0.750 | +0.050 | wrong |",
        "| eurosat | 1.3 | 1.3 | 1.3 | 1.3 | 1.3 | 1.3 | 1.3 |",
    ):
        assert row in text.splitlines(), row
    assert "±" not in markdown(photos.document(OPTIONS, Outcome(where(rows, method="kmeans"), {"sets": facts})))


def test_bad_words(cli, root, tmp_path):
    (tmp_path / "other").mkdir()
    draw(tmp_path / "few" / "photos" / "eurosat", 2, classes=3)
    draw(tmp_path / "loose" / "photos" / "eurosat", 2, classes=2)
    for file in (tmp_path / "loose" / "photos" / "eurosat").rglob("*.png"):
        file.rename(file.parents[1] / f"{file.parent.name}{file.name}")
    weights = f"--weights {root}/weights.safetensors"
    for words, code, word in (
        ("--set letters", 2, "--set letters: choose one of cifar10, cifar10-all, amazon"),
        ("--method kmedoids", 2, "--method kmedoids: choose one of kmeans, kmeans-metric"),
        ("--backbone vgg8", 2, "--backbone vgg8: is trained; name a fixed one, as in timm:NAME"),
        ("--backbone timm", 2, "--backbone timm"),
        ("--images 1", 2, "--images"),
        ("--size 4", 2, "--size"),
        ("--size 100000", 2, "--size"),
        (f"--data {tmp_path}/other", 2, "none of cifar10, cifar10-all"),
        (f"--data {tmp_path}/other --set gtsrb", 3, "other/photos/gtsrb: no such folder; put the images there"),
        (f"--data {tmp_path}/few --set eurosat {weights}", 2, "classes 0-4 do not exist; it has classes 0 to 2"),
        (f"--data {tmp_path}/loose --set eurosat {weights}", 3, "has no labels"),
        ("--set eurosat --weights nowhere.safetensors", 3, "nowhere.safetensors"),
        ("--set eurosat --weights a.safetensors --weights b.safetensors", 2, "--weights"),
    ):
        done = cli(f"reproduce photos --data {root} --backbone {MODEL} --method kmeans {words}")
        assert (done.code, done.out) == (code, ""), (words, done.err)
        assert word in done.err.splitlines()[-1], done.err
