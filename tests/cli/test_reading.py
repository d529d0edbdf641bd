"""The flags of reading folders, what headers record of them, and names that the terminal cannot show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from clusterkit.artifacts.hdf5 import read_header
from clusterkit.artifacts.summary import summarise
from tests.conftest import Cli

SMALL = "--backbone mlp --epochs 1"
TRAIN = f"train-g folder:labelled --hidden 8 --size 8 {SMALL}"
CLUSTER = f"cluster --k 3 {SMALL}"


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 90, 30)).save(path)


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    """A labelled folder, and one of two albums with loose photos and a broken one."""
    for number in range(8):
        picture(tmp_path / "labelled" / "ab"[number % 2] / f"{number}.png", 30 * number)
        picture(tmp_path / "photos" / ("", "x", "y")[number % 3] / f"{number}.png", 30 * number)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")


@pytest.mark.parametrize("flag", ["--flat", "--sniff", "--skip-bad", "--keep-duplicates"])
def test_a_flag_without_a_folder_is_refused(flag: str, cli: Cli) -> None:
    lines = (
        "train-g digits", "pretrain digits", "self-train digits", "predict-pairs", "cluster", "cluster synthetic:blobs",
        "assign arrays:x.npz", "adapt digits digits", "evaluate", "evaluate --g g.safetensors",
    )  # fmt: skip
    for line in lines:
        done = cli(f"{line} {flag}")
        assert (done.code, done.out) == (2, ""), line
        assert f"{flag}: works only with folder:PATH; leave it out or name such a data set" in done.err


def recorded(name: str) -> object:
    return summarise(Path("clusterkit-out") / name)["header"]["dataset"].get("reading")


def test_a_set_is_read_again_as_it_was_read(cli: Cli) -> None:
    os.link("labelled/a/0.png", "labelled/a/again.png")
    assert cli(f"{TRAIN} --keep-duplicates").code == 0
    assert recorded("g.safetensors") == {"keep_duplicates": True}
    done = cli("predict-pairs folder:photos --flat")
    assert (done.code, done.out) == (3, "")
    assert "photos/broken.jpg: not a readable image" in done.err
    assert cli("predict-pairs folder:photos --flat --skip-bad").code == 0
    assert recorded("pairs.h5") == {"flat": True, "skip_bad": True}
    done = cli(CLUSTER)
    assert done.code == 0, done.err
    assert recorded("assignments.h5") == {"flat": True, "skip_bad": True}
    assert "photos: 8 images; left out: 1 unreadable" in done.err
    done = cli("self-train folder:labelled --rounds 1 --keep-duplicates")
    assert "G is not sure of any two groups" in done.err, "A is as it was"


def test_pairs_of_another_reading_are_refused_and_automatic_ones_made_again(cli: Cli) -> None:
    assert cli(TRAIN).code == 0
    Path("photos/broken.jpg").unlink()
    assert cli("predict-pairs folder:photos --flat").code == 0
    pairs = Path("clusterkit-out/pairs.h5")
    before = pairs.read_bytes()
    done = cli(f"{CLUSTER} folder:photos")
    assert (done.code, pairs.read_bytes()) == (3, before)
    assert "was made from folder:photos --flat, not from folder:photos; run: clusterkit predict-pairs" in done.err
    pairs.unlink()
    for flags, automatic in (("--flat", True), ("--flat", False), ("", True)):
        done = cli(f"{CLUSTER} folder:photos {flags}")
        assert done.code == 0, done.err
        assert ("predicting pairs first" in done.err) == automatic
    assert "those of folder:photos --flat no longer fit" in done.err
    assert read_header(pairs, "pairs").dataset.get("reading") is None
    picture(Path("photos/new.png"), 250)
    assert cli("predict-pairs folder:photos --flat").code == 0
    picture(Path("photos/newer.png"), 240)
    done = cli(CLUSTER)
    assert done.err.endswith("run: clusterkit predict-pairs folder:photos --flat\n")


def test_adapt_reads_only_the_target_flat(cli: Cli) -> None:
    done = cli("adapt folder:labelled folder:photos --flat --skip-bad --method dann --size 8 --backbone mlp --steps 1")
    assert done.code == 0, done.err
    header = summarise(Path("clusterkit-out/adapted.h5"))["header"]
    assert header["extra"]["source"]["reading"] == {"skip_bad": True}
    assert header["dataset"]["reading"] == {"flat": True, "skip_bad": True}
    done = cli("adapt folder:labelled digits --flat --method dann --backbone mlp --steps 1")
    assert (done.code, "--flat: works only with a folder as the target" in done.err) == (2, True)
    done = cli("train-g folder:labelled --flat --backbone conv4")
    assert (done.code, "train-g learns from labels, so leave out --flat" in done.err) == (3, True)


def test_many_unreadable_images_are_listed_in_the_work_folder(cli: Cli) -> None:
    for number in range(12):
        (Path("photos") / f"bad{number:02d}.png").write_bytes(b"")
    assert cli(TRAIN).code == 0
    done = cli("predict-pairs folder:photos --flat")
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "photos: 13 unreadable: photos/bad00.png: an empty file, " in done.err
    assert " and 10 more, see clusterkit-out/unreadable.txt; remove" in done.err
    names = Path("clusterkit-out/unreadable.txt").read_text().splitlines()
    assert [name.partition(":")[0] for name in names] == [
        *(f"photos/bad{number:02d}.png" for number in range(12)), "photos/broken.jpg",
    ]  # fmt: skip
    done = cli("predict-pairs folder:photos --flat --skip-bad --quiet")
    assert done.code == 0
    assert "photos: 13 unreadable images are left out, see clusterkit-out/unreadable.txt" in done.err
    assert "bad00" not in done.err


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
PROGRAM = """
import sys
from clusterkit.__main__ import main
words = sys.argv[1:]
while words:
    end = words.index("then")
    code = main(words[:end])
    print("code", code, flush=True)
    print("code", code, file=sys.stderr, flush=True)
    words = words[end + 1:]
"""


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii"}, ASCII])
def test_names_that_stdout_cannot_show_are_escaped(environment: dict[str, str], tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "д\udce9" / "ab"[number % 2] / f"ж{number}\udcff.png", 60 * number)
    (tmp_path / "д\udce9" / "a" / "ш\udcfe.png").write_bytes(b"")
    train, work = TRAIN.replace("labelled", "д\udce9").split(), ["--workdir", "о\udce8"]
    lines = [
        [*train, *work], [*train, *work, "--skip-bad", "--json"], ["inspect", "о\udce8/g.safetensors", "--json"],
        ["predict-pairs", "folder:д\udce9", *work, "--skip-bad"], ["--help"],
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    words = [word for line in lines for word in [*line, "then"]]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env={**inherited, **environment}, capture_output=True, check=True
    )
    out, err = (re.split(rb"code (\d+)\n", text) for text in (done.stdout, done.stderr))
    assert out[1::2] == [b"3", b"0", b"0", b"0", b"0"], done.stderr
    assert b"\\xfe.png: an empty file" in err[0]
    assert json.loads(out[2])["artifact"].startswith("о\\xe8/")
    assert json.loads(out[4])["header"]["dataset"]["name"].endswith("д\\xe9")
    assert b"clusterkit" in out[8]
