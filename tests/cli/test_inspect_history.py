"""clusterkit inspect --history and --plot."""

import csv
import io
import json
from pathlib import Path

import pytest

import clusterkit
from tests.conftest import Cli, Done

PNG = b"\x89PNG\r\n\x1a\n"


def table(done: Done) -> list[dict[str, str]]:
    assert (done.code, done.err) == (0, "")
    return list(csv.DictReader(io.StringIO(done.out)))


def test_history_of_networks_of_subsets(letters: Path, cli: Cli) -> None:
    rows = table(cli("inspect clusterkit-out/ccn.safetensors --history"))
    history = clusterkit.load("clusterkit-out/ccn.safetensors").header["extra"]["history"]
    assert [(row["subset"], row["training"], row["epoch"], float(row["loss"])) for row in rows] == [
        (subset, title, str(number), means["loss"])
        for subset, own in history.items()
        for title, epochs in own.items()
        for number, means in enumerate(epochs, 1)
    ]
    assert {row["subset"] for row in rows} == set(clusterkit.load("clusterkit-out/assignments.h5"))


@pytest.mark.parametrize(
    ("name", "columns"), [("g", ["loss"]), ("adapted", ["classification", "cluster"])], ids=["g", "adapted"]
)
def test_history_of_one_network(name: str, columns: list[str], points: Path, cli: Cli) -> None:
    path = f"clusterkit-out/{name}.safetensors"
    rows = table(cli(f"inspect {path} --history"))
    assert list(rows[0]) == ["subset", "training", "epoch", *columns]
    assert {row["subset"] + row["training"] for row in rows} == {""}
    history = clusterkit.load(path).header["extra"]["history"]
    assert [{name: float(row[name]) for name in columns} for row in rows] == history
    assert json.loads(cli(f"inspect {path} --history --json").out) == {"history": clusterkit.load(path).history}


def test_history_of_other_trainings(points: Path, cli: Cli) -> None:
    assert cli("pretrain synthetic:blobs --backbone mlp --epochs 3").code == 0
    assert len(table(cli("inspect clusterkit-out/pretrained.safetensors --history"))) == 3
    assert cli("self-train synthetic:blobs --rounds 1").code == 0
    assert len(table(cli("inspect clusterkit-out/self-trained.safetensors --history"))) == 1
    assert cli("cluster --k 10 --backbone mlp --epochs 8 --rounds 2").code == 0
    rows = table(cli("inspect clusterkit-out/ccn.safetensors --history"))
    assert [row["training"] for row in rows] == ["round 1"] * 8 + ["round 2"] * 8


def test_a_plot_is_written_and_its_path_printed(points: Path, cli: Cli) -> None:
    done = cli("inspect clusterkit-out/ccn.safetensors --plot new/folder/a.png")
    assert (done.code, done.out, done.err) == (0, "new/folder/a.png\n", "")
    assert Path("new/folder/a.png").read_bytes().startswith(PNG)
    done = cli("inspect clusterkit-out/g.safetensors --plot a.PNG --json")
    assert json.loads(done.out) == {"plot": "a.PNG"}
    assert [path.name for path in Path().iterdir() if path.suffix != ""] == ["a.PNG"]


def fails(done: Done, code: int, *words: str) -> None:
    assert (done.code, done.out) == (code, ""), done
    assert done.err.startswith("clusterkit: error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("flag", ["--history", "--plot a.png"])
def test_files_without_a_history(flag: str, points: Path, cli: Cli) -> None:
    for name in ("pairs.h5", "assignments.h5", "k.json", "evaluation.json"):
        done = cli(f"inspect clusterkit-out/{name} {flag}")
        fails(
            done,
            3,
            f"{name}: holds no history",
            "inspect a file of train-g, self-train, pretrain, cluster, adapt or train-critic",
        )
    path = Path("clusterkit-out/g.safetensors")
    content = path.read_bytes()
    for bad, words in ((content[:-9], "damaged"), (b"", "empty"), (b"a note", "not a clusterkit file")):
        path.write_bytes(bad)
        fails(cli(f"inspect {path} {flag}"), 3, str(path), words)
    path.unlink()
    fails(cli(f"inspect {path} {flag}"), 3, "no such file; make it with: clusterkit train-g")
    fails(cli(f"inspect clusterkit-out {flag}"), 3, "clusterkit-out: cannot be read (Is a directory)")
    assert not Path("a.png").exists()


def test_plots_that_cannot_be_written(points: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "inspect clusterkit-out/g.safetensors --plot"
    Path("folder.png").mkdir()
    fails(cli(f"{line} folder.png"), 3, "--plot folder.png: cannot be written (Is a directory)", "another name")
    fails(cli(f"{line} clusterkit-out/k.json/a.png"), 3, "--plot clusterkit-out/k.json/a.png: cannot be written (")
    Path("a.png").write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    fails(cli(f"{line} a.png"), 3, "--plot a.png: cannot be written (No space left on device)")
    assert Path("a.png").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "clusterkit-out", "folder.png"]


def test_flags_that_cannot_be(points: Path, cli: Cli) -> None:
    path = Path("clusterkit-out/g.safetensors")
    fails(cli(f"inspect {path} --plot a.svg"), 2, "--plot a.svg: is always a PNG; give a name that ends in .png")
    fails(cli(f"inspect {path} --plot a.png --history"), 2, "--history and --plot: give only one of them")
    own = path.rename("clusterkit-out/g.png")
    content = own.read_bytes()
    fails(cli(f"inspect {own} --plot {own}"), 2, "is the file to inspect; give another name")
    assert own.read_bytes() == content
