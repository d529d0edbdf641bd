"""The study of photos, on small generated folders and a small model with random weights."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.errors import UsageError
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import Fixed
from clusterkit.studies import photos
from clusterkit.studies.common import photo_tables, samples
from clusterkit.studies.common.driver import Outcome
from clusterkit.studies.common.samples import Sample
from clusterkit.studies.common.tables import markdown, where
from clusterkit.studies.common.yardsticks import YARDSTICKS, Points, gentle
from tests.study_files import check_files

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
    for name, options in photos.CCN.items():
        monkeypatch.setitem(photos.CCN, name, replace(options, epochs=1))


def line(root: Path, *words: str) -> list[str]:
    weights = root / "weights.safetensors"
    shared = f"reproduce photos --data {root} --backbone {MODEL} --weights {weights} --size 32 --seeds 1"
    return [*shared.split(), *words]


def test_all_methods_on_the_same_features(cli, root, tmp_path):
    words = line(root, "--set", "eurosat", "--set", "cifar10-all", "--json")
    done = cli(words)
    assert done.code == 0, done.err
    rows = check_files("photos", OPTIONS)
    with_a, known = list(photos.TITLES), where(rows, metric="acc", k="known")
    assert [row.method for row in where(known, set="eurosat")] == with_a
    assert [row.method for row in where(known, set="cifar10-all")] == [*YARDSTICKS, photo_tables.DEFAULT]
    assert [row.set for row in where(rows, metric="acc", k="auto")] == ["cifar10-all", "eurosat"]
    assert all(0 <= row.value <= 1 and row.seconds >= 0 for row in where(rows, metric="acc"))
    facts = json.loads(done.out)["sets"]
    assert facts["eurosat"]["items"] == [40, 40]
    assert facts["cifar10-all"]["classes"] == [10]
    text = (tmp_path / "clusterkit-out" / "photos" / "photos.md").read_text()
    assert "| eurosat | 5 | 40 | 5 | 40 |" in text
    assert "| cifar10-all |  |  | 10 | 50 |" in text
    assert "caltech101 is not in" in done.err
    again = cli([*words, "--resume"])
    assert again.code == 0, again.err
    assert "$ clusterkit" not in again.err
