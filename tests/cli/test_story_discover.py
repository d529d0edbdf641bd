"""A person with a folder of pictures and one command: plain, with labelled pictures, and with examples."""

import csv
import json
import random
import shlex
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import clusterkit
from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, write_assignments
from clusterkit.artifacts.header import Header
from clusterkit.cli.discover import summary
from clusterkit.cli.discovery import Discovery, share_pictures
from clusterkit.cli.steps import Steps
from clusterkit.config import CHARACTERS_FILE, PHOTOS, Context, PredictPairsConfig, ReportConfig
from clusterkit.console import printable
from clusterkit.datasets.catalogue import parse
from clusterkit.settings import CountedBy, K
from tests import photographer
from tests.conftest import Cli
from tests.features.weights_of import state_of, weights_of

OUT = Path("clusterkit-out")
SMALL = ["--backbone", "timm:test_resnet", "--weights", "small.safetensors"]
"""A tiny backbone of random weights."""


def album(place: str, count: int) -> dict[str, str]:
    """Make a folder with subfolders; return the kind of each picture by its path."""
    chance, kinds = random.Random(count), {}
    for number in range(count):
        kind = photographer.KINDS[number % 3]
        path = Path(place, f"day {number % 2}", f"{number}.png")
        photographer.save(photographer.drawn(kind, chance), photographer.Form(".png", "PNG"), path)
        kinds[path.relative_to(place).as_posix()] = kind
    return kinds


def commands(err: str) -> list[list[str]]:
    """The command lines that were shown."""
    return [shlex.split(line.partition("$ clusterkit ")[2]) for line in err.splitlines() if "$ clusterkit " in line]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_become_a_page_by_commands_that_can_be_typed(cli: Cli) -> None:
    album("photos", 13)
    weights_of("test_resnet", Path("small.safetensors"))
    done = cli(["discover", "folder:photos", *SMALL, "--json"])
    assert done.code == 0, done.err
    result, first = json.loads(done.out), content(OUT)
    lines = commands(done.err)
    assert [words[0] for words in lines] == ["embed", "train-g", "predict-pairs", "estimate-k", "cluster", "report"]
    assert list(result["artifacts"]) == [words[0] for words in lines]
    assert all(Path(path).is_file() for path in result["artifacts"].values())
    assert 1 <= result["clusters"]["all"] <= result["k"]["all"]
    assert "13 new" in done.err
    assert done.err.count(" new") == done.err.count(" 0 new") + 1
    page = first["report.html"].decode()
    assert page.count('<img src="data:image/') >= 13
    assert "timm:test_resnet (licence: " in page
    assert len(table(OUT / "clusters.csv")) == 13

    again = cli(["discover", "folder:photos", *SMALL])
    assert again.out == f"{OUT}/report.html\n"
    assert again.err.count(" is up to date") == 5
    assert " new" not in again.err
    assert content(OUT) == first
    warned = [warning for warning in result["warnings"] if "is used" not in warning]
    assert all(warning in again.err for warning in warned)

    (OUT / "features.h5").write_bytes(first["features.h5"][:-9])
    mended = cli(["discover", "folder:photos", *SMALL])
    assert mended.err.count(" is up to date") == 4
    assert "features.h5: damaged (truncated, or bytes were changed); it is made again now" in mended.err
    assert content(OUT) == first

    for words in lines:
        assert cli([*words, "--workdir", "typed"]).code == 0
    assert content(Path("typed")) == first


def test_labelled_pictures_and_examples_name_the_groups(cli: Cli) -> None:
    kinds = album("photos", 15)
    photographer.build_labelled(Path("labelled"), 3)
    weights_of("test_resnet", Path("small.safetensors"))
    known = dict(list(kinds.items())[:9])
    Path("known.csv").write_text("path,label\n" + "".join(f"{name},{kind}\n" for name, kind in known.items()))
    flags = ["--like", "folder:labelled", "--examples", "known.csv", "--k", "3", "--folders", "found"]
    flags += ["--by", "move", "--json"]
    done = cli(["discover", "folder:photos", *SMALL, *flags])
    assert done.code == 0, done.err
    assert {name: json.loads(done.out)[name] for name in ("folders", "undo")} == {
        "folders": "found", "undo": "found/undo.sh",
    }  # fmt: skip
    assert "labelled" in done.err
    rows = table(OUT / "clusters.csv")
    assert {row["path"]: row["name"] for row in rows if row["path"] in known} == known
    assert {path.name for path in Path("found").iterdir()} == {*photographer.KINDS, "undo.sh"}
    assert sum(path.is_file() for path in Path("found").glob("*/**/*")) == 15
    subprocess.run(["sh", "found/undo.sh"], check=True)

    made = clusterkit.load(OUT / "assignments.h5")
    assert made.header["extra"]["uses_target_labels"] == "examples"
    names = made.names()
    assert names is not None
    assert set(names) == set(photographer.KINDS)
    pytest.importorskip("pandas")
    assert set(made.to_pandas()["name"]) == set(photographer.KINDS)

    path = next(iter(kinds))
    done = cli(["assign", f"photos/{path}", "--json"])
    assert json.loads(done.out)["rows"][0]["class"] == kinds[path]
    done = cli(["report", "--assignments", "assigned.h5"])
    assert done.code == 0, done.err
    page = (OUT / "report.html").read_text(encoding="utf-8")
    assert "the features that G compares" in page or "Map" not in page
    assert kinds[path] in page


LABELS = "day 0/0.png,disc\nday 1/1.png,stripes\nday 0/2.png,frame\n"


def made_by(path: Path, stage: str, config: dict[str, object]) -> None:
    """Write a file of digits by a stage with these settings."""
    made = Assignment(np.arange(2), np.arange(2, dtype=np.int32), np.eye(2, dtype=np.float32))
    write_assignments(
        path, Header("assignments", stage, config, 0, "cpu", {"name": "digits", "fingerprint": "f"}), {"all": made}
    )


def test_a_file_of_other_settings_is_not_replaced_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    made_by(OUT / "pairs.h5", "predict-pairs", {"g": "mine.safetensors", "dataset": "digits"})
    for automatic, words in (
        (False, "pairs.h5 of another run (clusterkit predict-pairs --g mine.safetensors)"),
        (True, ""),
    ):
        if automatic:
            made_by(OUT / "pairs.h5", "predict-pairs", {"g": "mine.safetensors", "automatic": True})
        steps = Steps(Context(), 1)
        console.set_up(quiet=False)
        steps.run("Predict.", "predict-pairs", [], lambda *_: None, PredictPairsConfig(), Context(), "pairs.h5")
        err = capsys.readouterr().err
        assert words in err
        assert ("will be replaced" in err) is not automatic


@pytest.mark.parametrize(
    ("like", "name", "shares"),
    [
        ("arrays:a.npz@0-3", "arrays:a.npz@4-7", False),
        ("arrays:a.npz@0-4", "arrays:./a.npz@4-7", True),
        ("arrays:a.npz@0-3", "arrays:a.npz", True),
        ("folder:a", "folder:a/c1", True),
        ("folder:a", "folder:a/c3", False),
        ("folder:a/c1", "folder:a", True),
        ("folder:a", "folder:b", False),
        ("office31/amazon", "office31", True),
        ("office31/amazon", "office31/webcam", False),
        ("omniglot_bg", "omniglot_eval", False),
    ],
)
def test_labelled_pictures_among_those_to_sort_are_known_by_names(like: str, name: str, shares: bool) -> None:
    assert share_pictures(parse(like), parse(name), ["c1", "c2"]) is shares


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        ([], 3, "no weights on this machine (--offline is set)"),
        (["--backbone", "conv4"], 2, "--backbone conv4: is trained"),
        ([*SMALL, "--like", "folder:./photos"], 2, "--like folder:photos: is the set to sort"),
        ([*SMALL, "--like", "folder:photos/day 1"], 3, "has no labels; --like learns from labels"),
        (
            [*SMALL, "--like", "folder:one"],
            3,
            "one: one class only ('day 0'); give --like pictures of two classes or more, each in its own subfolder, "
            "or leave it out",
        ),
        ([*SMALL, "--examples", "labels.csv", "--k", "2"], 2, "the examples have 3 labels; give a number from 3"),
        ([*SMALL, "--examples", "other.csv"], 3, "other.csv: line 1: no item has the name 'gone.png'"),
        ([*SMALL, "--examples", "missing.csv"], 3, "missing.csv: no such file"),
        ([*SMALL, "--k", "known"], 2, "--k known: counts labels"),
        ([*SMALL, "--k", "1"], 2, "--k 1: give a number from 2, or auto"),
        ([*SMALL, "--k", "two"], 2, "--k two: give a number from 2, or auto"),
        ([*SMALL, "--k", "5"], 2, "has only 4 pictures"),
        ([*SMALL, "--folders", "one"], 2, "exists and is not an empty folder"),
        ([*SMALL, "--by", "move"], 2, "--by works only with --folders"),
        (["--workdir", "one"], 3, "one/pairs.h5: was made by clusterkit predict-pairs from digits"),
        (["--workdir", "two"], 3, "two/g.safetensors: was made by clusterkit train-g from omniglot_bg"),
        (
            ["--backbone", "timm:test_resnet", "--weights", "short.safetensors"],
            3,
            "short.safetensors: no file of weights",
        ),
        (["--backbone", "timm:test_resnet", "--weights", "one"], 3, "one: a folder"),
    ],
)
def test_what_stops_it_is_said_before_anything_is_made(cli: Cli, flags: list[str], code: int, reason: str) -> None:
    album("photos", 4)
    album("one", 1)
    weights_of("test_resnet", Path("small.safetensors"))
    Path("short.safetensors").write_bytes(Path("small.safetensors").read_bytes()[:1000])
    Path("labels.csv").write_text(LABELS)
    Path("other.csv").write_text("gone.png,disc\n")
    made_by(Path("one/pairs.h5"), "predict-pairs", {})
    Path("two").mkdir()
    shutil.copy(CHARACTERS_FILE, "two/g.safetensors")
    done = cli(["discover", "folder:photos", *flags, "--offline", "--data", "data"])
    assert (done.code, done.out) == (code, "")
    assert reason in done.err.splitlines()[-1]
    assert "--flat" not in done.err
    assert not OUT.exists()


def test_features_that_are_all_equal_stop_it(cli: Cli) -> None:
    state = state_of("test_resnet")
    safetensors.torch.save_file({name: torch.zeros_like(value) for name, value in state.items()}, "small.safetensors")
    album("photos", 4)
    album("copies", 1)
    shutil.copy("copies/day 0/0.png", "copies/1.png")
    for flags, advice in ([], "other --weights"), (["--size", "64"], "leave out --size"):
        for _ in range(2):
            done = cli(["discover", "folder:photos", *SMALL, *flags])
            assert (done.code, done.out) == (3, "")
            assert "folder:photos: all pictures have the same features" in done.err.splitlines()[-1]
            assert done.err.endswith(f"{advice}\n")
        assert [path.name for path in OUT.iterdir()] == ["features.h5"]
    done = cli(["discover", "folder:copies", *SMALL, "--workdir", "other"])
    assert (done.code, done.out) == (3, "")
    assert "folder:copies: all pictures are copies of one" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("k", "clusters", "words"),
    [
        (4, [0, 3, 0], "3 pictures in 2 of the 4 groups asked for (0: 2, 3: 1)"),
        (2, [0, 1, 1], "3 pictures in 2 groups (1: 2, 0: 1)"),
        (CountedBy.ESTIMATE, [1, 1], "2 pictures in 1 group (1: 2)"),
    ],
)
def test_the_summary_counts_the_groups(k: K, clusters: list[int], words: str) -> None:
    header = Header("assignments", "cluster", {}, 0, "cpu", {"name": "digits", "fingerprint": "f"})
    prob = np.eye(4)[clusters].astype(np.float32)
    made = Assignment(np.arange(len(clusters)), np.array(clusters, np.int32), prob)
    write_assignments(Path("made.h5"), header, {"all": made})
    steps = Steps(Context(), 5, artifacts={"cluster": "made.h5"})
    config = Discovery(
        name="digits", like=None, k=k, examples=None, backbone=PHOTOS, weights=(), size=None, report=ReportConfig()
    )
    assert summary(steps, config)[1] == [words]


def test_one_picture_is_no_set_and_two_are(cli: Cli) -> None:
    weights_of("test_resnet", Path("small.safetensors"))
    album("one", 1)
    done = cli(["discover", "folder:one", *SMALL])
    assert done.code == 3
    assert "holds one picture only" in done.err


@pytest.mark.slow
def test_250_photos_take_less_than_three_minutes(cli: Cli, real_data: Path) -> None:
    backbone = "tf_efficientnet_lite0"
    if not (real_data / "weights" / f"{backbone}.safetensors").is_file():
        pytest.skip(f"the weights of {backbone} are not here")
    kinds = photographer.build(Path("photos"), 13, 5)
    photographer.build_labelled(Path("labelled"), 15, 5)
    flags = ["--skip-bad", "--data", str(real_data), "--backbone", f"timm:{backbone}", "--json"]
    for more in ([], ["--like", "folder:labelled"], ["--examples", "known.csv", "--k", "3"]):
        known = "".join(f'"{printable(name)}",{kind}\n' for name, kind in list(kinds.items())[::20])
        Path("known.csv").write_text(known, encoding="utf-8")
        start = time.monotonic()
        done = cli(["discover", "folder:photos", *flags, *more, "--workdir", f"out{len(more)}"])
        assert time.monotonic() - start < 180
        assert done.code == 0, done.err
        rows = table(Path(f"out{len(more)}/clusters.csv"))
        assert len(rows) == len(kinds) >= 250
        kind_of = {printable(name): kind for name, kind in kinds.items()}
        groups = Counter((row["cluster"], kind_of[row["path"]]) for row in rows)
        largest = {cluster: max(groups[cluster, kind] for kind in photographer.KINDS) for cluster, _ in groups}
        assert sum(largest.values()) > 0.95 * len(rows), (more, groups)
        if "--k" in more:
            assert sum(row["name"] == kind_of[row["path"]] for row in rows) > 0.95 * len(rows)
