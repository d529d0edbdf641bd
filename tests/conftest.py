import fcntl
import functools
import logging
import os
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

# The arrays are small; on a busy machine a second thread waits more than it works.
os.environ["OMP_NUM_THREADS"] = "1"
# Matplotlib's list of fonts stays where it is, in whatever folder a test keeps its caches.
os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
# Processes that tests start in other folders run the package that is tested.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))

import pytest
import torch
import typer.main
from hypothesis import settings

from clusterkit.__main__ import main
from clusterkit.report import map
from tests import sets

torch.set_num_threads(1)
sets.keep()
settings.register_profile("clusterkit", deadline=None, database=None, derandomize=True, max_examples=30)
settings.load_profile("clusterkit")


STARTED_IN = Path.cwd()
BEFORE = pytest.StashKey[set[str]]()
CACHES = {".benchmarks", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}


def pytest_sessionstart(session: pytest.Session) -> None:
    session.stash[BEFORE] = {path.name for path in STARTED_IN.iterdir()}


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Fail where a test has left something in the folder that pytest was started in."""
    left = {path.name for path in STARTED_IN.iterdir()} - session.stash[BEFORE] - CACHES
    if left and "workerinput" not in vars(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield
    if left and "workerinput" not in vars(session.config):
        print(f"\nThe tests left in {STARTED_IN}: {', '.join(sorted(left))}")


@pytest.fixture(scope="session", autouse=True)
def _quick() -> None:
    """Do once, or less, what takes most of the time of short commands and of reports."""
    typer.main.get_command = functools.cache(typer.main.get_command)
    # Only test_map.py looks at where the items of a map lie.
    map.STEPS = 250


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.with_name(f"{tmp_path.name}-cache")))


@pytest.fixture(autouse=True)
def _heard_by_caplog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a command of an earlier test did: it keeps its messages to stderr."""
    monkeypatch.setattr(logging.getLogger("clusterkit"), "propagate", True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The root of the real data sets."""
    root = os.environ.get("CLUSTERKIT_DATA")
    if not root:
        pytest.skip("CLUSTERKIT_DATA names no folder of real data sets")
    return STARTED_IN / root


@dataclass(frozen=True)
class Done:
    """One call of the command line: its exit code and what it printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line with a line, or with a list of arguments."""

    def call(line: str | list[str]) -> Done:
        capfd.readouterr()
        code = main(line.split() if isinstance(line, str) else line)
        return Done(code, *capfd.readouterr())

    return call


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that is made once for all processes of a run: others wait for the first that needs it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    made = base / "made" / name
    made.parent.mkdir(exist_ok=True)
    with (base / "made" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            half = made.with_name(f"{name}.half")
            make(half)
            half.rename(made)
    return made


def run_all(*lines: str) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        for line in lines:
            assert main([*line.split(), "--workdir", str(folder), "--quiet"]) == 0

    return run


@pytest.fixture(scope="session")
def points_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with every artifact, of points in the plane."""
    lines = run_all(
        "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 30 --learning-rate 0.01",
        "predict-pairs synthetic:blobs",
        "cluster --k 10 --epochs 8 --backbone mlp",
        "estimate-k",
        "evaluate",
        "adapt synthetic:blobs synthetic:blobs --method ccn+ --backbone mlp --steps 1",
    )
    return once(tmp_path_factory, "points", lines)


LETTERS = "glyphs_eval@12-27,40-47"
"""Eight characters of each of three alphabets: subsets small enough to be quick."""


@pytest.fixture(scope="session")
def letters_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of a set with several subsets."""
    lines = run_all(
        "train-g glyphs_bg@0-11 --size 8 --backbone mlp --hidden 16 --epochs 1",
        f"predict-pairs {LETTERS}",
        "cluster --k 25 --epochs 1 --backbone mlp",
    )
    return once(tmp_path_factory, "letters", lines)


@pytest.fixture
def points(points_made: Path, tmp_path: Path) -> Path:
    """A copy of the points' work folder, in the current folder under the default name."""
    return Path(shutil.copytree(points_made, tmp_path / "clusterkit-out"))


@pytest.fixture
def letters(letters_made: Path, tmp_path: Path) -> Path:
    """A copy of the letters' work folder, in the current folder under the default name."""
    return Path(shutil.copytree(letters_made, tmp_path / "clusterkit-out"))
