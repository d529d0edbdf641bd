"""Folders of pictures: the same pixels in other files, and the polarity that a network was trained on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.__main__ import main
from clusterkit.artifacts.hdf5 import read_hdf5
from tests.conftest import Cli

FORMS = {"l": "png", "rgb": "png", "p": "gif", "rgba": "webp", "la": "tif"}


def digit(number: int, random: np.random.Generator) -> np.ndarray:
    """Return bright ink on dark, 12 x 12: a bar in one of three directions, a little noisy."""
    pixels = random.integers(0, 40, (12, 12))
    place = (slice(5, 7), slice(2, 10)), (slice(2, 10), slice(5, 7)), (slice(3, 9), slice(3, 9))
    pixels[place[number]] = random.integers(200, 256)
    return pixels.astype(np.uint8)


def write(folder: Path, form: str = "l", each: int = 8, *, dark_ink: bool = False, seed: int = 0) -> None:
    """Write `each` pictures of three classes, in a mode of Pillow."""
    random = np.random.default_rng(seed)
    for label in range(3):
        for number in range(each):
            pixels = digit(label, random)
            path = folder / "abc"[label] / f"{number}.{FORMS[form]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(255 - pixels if dark_ink else pixels)
            mode = form.upper()
            options = {"lossless": True} if FORMS[form] == "webp" else {}
            (image.convert("P") if mode == "P" else image.convert("RGB").convert(mode)).save(path, **options)


def run(line: str) -> None:
    assert main([*line.split(), "--quiet"]) == 0


def entry(cli: Cli, path: str) -> dict[str, object]:
    """Return the data set that a file's header records."""
    dataset: dict[str, object] = json.loads(cli(f"inspect {path} --json").out)["header"]["dataset"]
    return dataset


def test_the_same_digits_give_the_same_clusters_in_every_mode(cli: Cli, tmp_path: Path) -> None:
    found = {}
    for form in FORMS:
        write(tmp_path / form, form, dark_ink=True)
        run(f"train-g folder:{form} --size 12 --backbone mlp --hidden 8 --epochs 1 --workdir out-{form}")
        run(f"predict-pairs folder:{form} --workdir out-{form}")
        run(f"cluster --k 3 --epochs 2 --backbone mlp --workdir out-{form}")
        header = entry(cli, f"out-{form}/pairs.h5")
        assert (header["channels"], header["inverted"], header["bright_ink"]) == (1, True, True)
        _, groups = read_hdf5(tmp_path / f"out-{form}" / "assignments.h5", "assignments")
        # The names end in .png, .webp and so on.
        del groups["all"]["name_digest"]
        found[form] = header["fingerprint"], {name: values.tolist() for name, values in groups["all"].items()}
    assert found == dict.fromkeys(FORMS, found["l"])


@pytest.fixture
def trained(tmp_path: Path) -> None:
    """Networks of dark ink and of bright ink, in `dark` and `bright`."""
    for name, dark_ink in (("dark", True), ("bright", False)):
        write(tmp_path / name, dark_ink=dark_ink)
        run(f"train-g folder:{name} --size 12 --backbone mlp --hidden 8 --epochs 1 --workdir out-{name}")


@pytest.mark.parametrize(
    ("network", "each", "dark_ink", "inverted"),
    [
        ("dark", 8, True, True), ("dark", 8, False, False), ("bright", 8, True, True), ("bright", 8, False, False),
        ("dark", 2, False, True), ("dark", 2, True, True), ("bright", 2, True, False), ("bright", 2, False, False),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("trained")
def test_a_network_keeps_its_polarity_on_another_folder(
    network: str, each: int, dark_ink: bool, inverted: bool, cli: Cli, tmp_path: Path
) -> None:
    write(tmp_path / "new", "rgb", each, dark_ink=dark_ink, seed=1)
    done = cli(f"predict-pairs folder:new --g out-{network}/g.safetensors")
    assert done.code == 0
    assert done.err.count("inverted") == inverted
    assert ("stay as they are" in done.err) == (dark_ink and not inverted)
    assert entry(cli, "clusterkit-out/pairs.h5")["inverted"] is inverted
    # Later commands read the folder as it was read for the pairs.
    run("cluster --k 3 --epochs 1 --backbone mlp")
    assert entry(cli, "clusterkit-out/assignments.h5")["inverted"] is inverted
    run("evaluate")
    run("assign folder:new")


def test_a_network_of_photos_inverts_nothing(cli: Cli, tmp_path: Path) -> None:
    for path in (tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png"):
        for number in range(5):
            place = path.with_suffix("") / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (200, 10 * number, 0)).save(place)
    run("train-g folder:photos --size 12 --backbone mlp --hidden 8 --epochs 1")
    write(tmp_path / "new", dark_ink=True)
    done = cli("predict-pairs folder:new")
    assert done.code == 0
    assert "inverted" not in done.err
    assert entry(cli, "clusterkit-out/pairs.h5")["inverted"] is False


def test_coloured_paper_is_inverted_for_a_network_of_bright_ink(cli: Cli, tmp_path: Path) -> None:
    run("train-g glyphs_bg@0-5 --size 12 --backbone mlp --hidden 8 --epochs 1")
    write(tmp_path / "new", "rgb", dark_ink=True)
    for path in (tmp_path / "new").rglob("*.png"):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[..., 2] //= 2
        Image.fromarray(pixels).save(path)
    done = cli("predict-pairs folder:new")
    assert "the images are inverted to bright ink on dark, as the training images are" in done.err
    run("cluster --k 3 --epochs 1 --backbone mlp")
    run("evaluate")
    assert entry(cli, "clusterkit-out/assignments.h5")["inverted"] is True


def test_a_folder_of_floats_says_once_that_each_has_its_own_range(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path / "set", "la")
    for path in (tmp_path / "set").rglob("*.tif"):
        Image.fromarray(np.asarray(Image.open(path).convert("L")) / np.float32(900)).save(path)
    done = cli("train-g folder:set --size 12 --backbone mlp --hidden 8 --epochs 1")
    assert done.code == 0
    assert done.err.count("24 of 24 images, such as 0.tif, do not say the range of their values") == 1


def test_a_bomb_is_refused_by_name_and_nothing_is_lost(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path / "set")
    run("train-g folder:set --size 12 --backbone mlp --hidden 8 --epochs 1")
    before = (tmp_path / "clusterkit-out" / "g.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "set" / "a")
    write(tmp_path / "set")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "set" / "a" / "3.png")
    done = cli("train-g folder:set --size 12 --backbone mlp --hidden 8 --epochs 1")
    assert done.code == 3
    assert done.err.splitlines() == [
        "clusterkit: error: set/a/3.png: 200,000,000 pixels, and at most 178,956,970 are read; "
        "remove or replace it, or leave it out with --skip-bad in the command that names the set"
    ]
    assert (tmp_path / "clusterkit-out" / "g.safetensors").read_bytes() == before
