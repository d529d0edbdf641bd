"""The Python on the pages for users runs, in the order of the page, in an empty folder."""

import io
import re
from contextlib import redirect_stdout
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
    """Its two scripts, each after the commands of the page before it, on noise."""
    sort, names = snippets("quickstart.md")
    for place, count in (("labelled/a", 4), ("labelled/b", 5), ("pictures", 9), ("new", 3)):
        pictures(Path(place), count)
        # Files that are no pictures have no id.
        (Path(place) / ".DS_Store").write_text("hidden")
        (Path(place) / "notes.txt").write_text("no picture")
    assert cli("train-g folder:labelled --size 8 --backbone mlp --hidden 8 --epochs 1").code == 0
    assert cli("cluster folder:pictures --k 3 --method spectral --features pixels").code == 0
    execute("quickstart.md", sort, {})
    copies = sorted(path.relative_to("found") for path in Path("found").rglob("*.png"))
    names_of_pictures = sorted(path.name for path in Path("pictures").iterdir() if path.suffix == ".png")
    assert sorted(path.name for path in copies) == [f"{item:05d}-{name}" for item, name in enumerate(names_of_pictures)]
    assert {str(path.parent) for path in copies} == {"000", "001", "002"}
    assert cli("pretrain folder:found --size 8 --backbone mlp --epochs 1").code == 0
    assert cli("assign folder:new --model pretrained.safetensors").code == 0
    with redirect_stdout(io.StringIO()) as out:
        execute("quickstart.md", names, {})
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert [name for name, _ in lines] == ["0.png", "1.png", "2.png"]
    assert {given for _, given in lines} <= {"000", "001", "002"}
