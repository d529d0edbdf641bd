"""The packages of a release: they hold what belongs to the project and nothing else, and work where nothing else is."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from clusterkit import __version__

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def tracked(*places: str) -> set[str]:
    done = subprocess.run(["git", "ls-files", "-z", *places], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\0")) - {""}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel that is built from it."""
    pytest.importorskip("build", reason="build is not installed: pip install '.[dev]'")
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True)
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def test_every_file_is_wanted(packages: tuple[Path, Path]) -> None:
    sdist, wheel = packages
    about = f"clusterkit-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names == tracked("clusterkit") | {
        f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == tracked() - tracked(".ci") | {"PKG-INFO"}


def environment(folder: Path, *requirements: str) -> Path:
    """Make an empty environment, and return its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *requirements], check=True)
    return folder / "bin"


@pytest.fixture
def place(tmp_path: Path):
    """A folder whose environments, of some gigabytes each, are removed."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_the_wheel_works_where_nothing_else_is(packages: tuple[Path, Path], place: Path) -> None:
    programs = environment(place / "venv", str(packages[1]))
    for line in ("demo --quiet", "cluster synthetic:blobs --method kmeans --k 5", "evaluate --fail-under acc=0.5"):
        subprocess.run([str(programs / "clusterkit"), *line.split()], cwd=place, check=True)
    assert (place / "clusterkit-out" / "demo" / "clusters.png").exists()


def test_the_lowest_versions_work(place: Path) -> None:
    """The tests of the command line and of files, with the oldest version of each package that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    lowest = [re.sub(r">=.*", lambda bound: f"=={bound[0][2:]}.*", name) for name in named]
    programs = environment(place / "venv", *lowest, f"{ROOT}[test]")
    done = subprocess.run(
        [str(programs / "python"), "-m", "pytest", "-q", "tests/cli", "tests/artifacts", "tests/python"], cwd=ROOT
    )  # fmt: skip
    assert done.returncode == 0
