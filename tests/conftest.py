import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from clusterkit.__main__ import main

# The tensors are small; on a busy machine a second thread waits more than it works.
torch.set_num_threads(1)
settings.register_profile("clusterkit", deadline=None, database=None, derandomize=True, max_examples=30)
settings.load_profile("clusterkit")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The root of the real data sets."""
    root = os.environ.get("CLUSTERKIT_DATA")
    if not root:
        pytest.skip("CLUSTERKIT_DATA names no folder of real data sets")
    return Path(root)


@dataclass(frozen=True)
class Done:
    """One call of the command line: its exit code and what it printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call the command line in an empty folder with a line, or with a list of arguments."""
    monkeypatch.chdir(tmp_path)

    def call(line: str | list[str]) -> Done:
        capfd.readouterr()
        code = main(line.split() if isinstance(line, str) else line)
        return Done(code, *capfd.readouterr())

    return call


def run_all(folder: Path, *lines: str) -> Path:
    for line in lines:
        assert main([*line.split(), "--workdir", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def points_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with every artifact, of points in the plane."""
    return run_all(
        tmp_path_factory.mktemp("made") / "points",
        "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 30 --learning-rate 0.01",
        "predict-pairs synthetic:blobs",
        "cluster --k 10 --epochs 8 --backbone mlp",
        "estimate-k",
        "evaluate",
        "adapt synthetic:blobs synthetic:blobs --method ccn+ --backbone mlp --steps 1",
    )


LETTERS = "glyphs_eval@12-27,40-47"
"""Eight characters of each of three alphabets: subsets small enough to be quick."""


@pytest.fixture(scope="session")
def letters_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of a set with several subsets."""
    return run_all(
        tmp_path_factory.mktemp("made") / "letters",
        "train-g glyphs_bg@0-11 --size 8 --backbone mlp --hidden 16 --epochs 1",
        f"predict-pairs {LETTERS}",
        "cluster --k 25 --epochs 1 --backbone mlp",
    )


@pytest.fixture
def points(points_made: Path, tmp_path: Path) -> Path:
    """A copy of the points' work folder, in the current folder under the default name."""
    return Path(shutil.copytree(points_made, tmp_path / "clusterkit-out"))


@pytest.fixture
def letters(letters_made: Path, tmp_path: Path) -> Path:
    """A copy of the letters' work folder, in the current folder under the default name."""
    return Path(shutil.copytree(letters_made, tmp_path / "clusterkit-out"))
