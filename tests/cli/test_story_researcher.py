"""A researcher's day: learning curves for a figure, and the tables of a study in LaTeX, again after an interruption."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from clusterkit.config import Backbone
from clusterkit.losses import Loss
from clusterkit.studies import robustness

STUDY = "reproduce robustness --steps 2 --latex"
FOLDER = Path("clusterkit-out/robustness")


@pytest.fixture
def small(monkeypatch):
    grid = robustness.Grid(
        dataset="digits", size=8, images=60, losses=(Loss.KCL,), ks=(10,), densities=(1.0,), backbone=Backbone.MLP,
        epochs=2, batch_size=32,
    )  # fmt: skip
    monkeypatch.setattr(robustness, "SHORT", grid)
    monkeypatch.setattr(robustness, "FULL", replace(grid, restarts=2))


def test_learning_curves(cli):
    assert cli("train-g digits --size 8 --backbone mlp --hidden 8 --epochs 25").code == 0
    rows = list(csv.DictReader(cli("inspect clusterkit-out/g.safetensors --history").out.splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 26)), "stderr has fewer lines, the file has all"
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    done = cli("inspect clusterkit-out/g.safetensors --plot figures/losses.png")
    assert (done.code, done.out, done.err) == (0, "figures/losses.png\n", "")
    with Image.open("figures/losses.png") as picture:
        picture.verify()
    done = cli("inspect clusterkit-out/g.safetensors --plot clusterkit-out/g.safetensors")
    assert done.code == 2
    assert cli("inspect clusterkit-out/g.safetensors").code == 0, "the network is still whole"


def test_tables_for_a_paper(small, cli):
    done = cli(STUDY)
    assert done.code == 0, done.err
    text = (FOLDER / "robustness.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0
    assert text.count("{") == text.count("}")
    for row in json.loads((FOLDER / "robustness.json").read_text())["rows"]:
        assert row["metric"]
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert "robustness.tex" in before
    assert not {".lock", ".robustness.csv.state"} & set(before)
    for refused in ("--steps 0", "--steps many", "--data nodata --device tpu"):
        assert cli(f"{STUDY} {refused}").code == 2
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before
    again = cli(f"{STUDY} --resume --quiet")
    assert (again.code, again.out) == (0, done.out)
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before, "figures are repeatable"
