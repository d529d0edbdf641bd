"""The Python on the pages for users runs, in the order of the page, in an empty folder."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Cli

ROOT = Path(__file__).parent.parent
WORDS = 900


def snippets(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)


def execute(page: str, snippet: str, names: dict[str, object]) -> None:
    exec(compile(snippet, f"docs/{page}", "exec"), names)


def test_the_python_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(Path().iterdir()) == []
    found = snippets("python.md")
    assert len(found) >= 7
    names: dict[str, object] = {}
    for snippet in found:
        execute("python.md", snippet, names)
    assert [path.name for path in Path().iterdir()] == ["points"]
    out = capsys.readouterr().out
    assert "(60, 3) 3\n" in out
    # What a comment beside a print shows is what it prints.
    for shown in re.findall(r"print\(.*\)  # (.*)", "".join(found)):
        assert f"{shown}\n" in out


def test_the_python_page_stays_short() -> None:
    assert len((ROOT / "docs" / "python.md").read_text().split()) <= WORDS


def pictures(folder: Path, count: int) -> None:
    random = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")


def test_the_quick_start(cli: Cli) -> None:
    """The commands of the page that lead from pictures to named clusters, on noise."""
    for place, count in (("labelled/a", 4), ("labelled/b", 5), ("pictures", 9), ("new", 3)):
        pictures(Path(place), count)
        (Path(place) / ".DS_Store").write_text("hidden")
        (Path(place) / "notes.txt").write_text("no picture")
    assert cli("train-g folder:labelled --size 8 --backbone mlp --hidden 8 --epochs 1").code == 0
    assert cli("cluster folder:pictures --k 3 --method spectral --features pixels").code == 0
    assert cli("report --folders found").code == 0
    copies = {path.name: path.parent.name for path in Path("found").rglob("*.png")}
    with Path("clusterkit-out/clusters.csv").open(newline="") as table:
        rows = {row["path"]: int(row["cluster"]) for row in csv.DictReader(table)}
    assert copies == {name: f"{cluster:03d}" for name, cluster in rows.items()}
    assert set(rows) == {f"{number}.png" for number in range(9)}
    for old, new in (("000", "cats"), ("001", "dogs"), ("002", "birds")):
        (Path("found") / old).rename(Path("found") / new)
    assert cli("pretrain folder:found --size 8 --backbone mlp --epochs 1").code == 0
    assert cli("assign folder:new --model pretrained.safetensors").code == 0
    assert cli("report --assignments assigned.h5").code == 0
    with Path("clusterkit-out/clusters.csv").open(newline="") as table:
        named = {row["path"]: row["name"] for row in csv.DictReader(table)}
    assert set(named) == {"0.png", "1.png", "2.png"}
    assert set(named.values()) <= {"cats", "dogs", "birds"}
