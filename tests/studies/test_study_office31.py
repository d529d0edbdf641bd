"""The study of Office-31, on random pictures."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.config import Backbone
from clusterkit.studies import office31
from clusterkit.studies.common.tables import where
from tests.features.weights_of import weights_of
from tests.study_files import check_files

METHODS = list(ADAPTATIONS)


def tree(root: Path) -> None:
    rng = np.random.default_rng(0)
    for number, domain in enumerate(office31.DOMAINS):
        for kind in range(3):
            folder = root / "office31" / domain / f"kind{kind}"
            folder.mkdir(parents=True)
            for image in range(6):
                pixels = rng.integers(0, 60, (8, 8, 3)) + 60 * kind + 20 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{image}.png")


def test_office31(cli, tmp_path):
    tree(tmp_path)
    line = f"reproduce office31 --backbone mlp --size 8 --steps 1 --g-steps 1 --data {tmp_path} --json"
    done = cli(line)
    assert done.code == 0, done.err
    assert json.loads(done.out)["weights"] == ["random"]
    options = office31.Office31Options(backbone=Backbone.MLP, size=8, steps=1)
    rows = check_files("office31", options)
    accuracies = where(rows, metric="accuracy")
    directions = {"A to D", "A to W", "D to A", "D to W", "W to A", "W to D"}
    assert {row.set for row in accuracies} == {*directions, "mean"}
    for name in (*directions, "mean"):
        assert [row.method for row in where(accuracies, set=name)] == METHODS
    for row in where(accuracies, set="mean"):
        every = [one.value for one in where(accuracies, method=row.method) if one.set != "mean"]
        assert row.value == np.mean(every)
    assert len(where(rows, subset="mean", metric="similar_recall")) == 6
    tables = (tmp_path / "clusterkit-out" / "office31" / "office31.md").read_text()
    assert "Weights before the training: **random**" in tables
    assert "(0.785)" in tables
    assert "| office31/webcam | office31/dslr | " in tables
    assert "| ResNet-50 | 0.743 |" in tables
    again = cli(f"{line} --resume")
    assert again.out == done.out
    assert "$ clusterkit" not in again.err

    g = tmp_path / "clusterkit-out" / "office31" / "amazon" / "g.safetensors"
    line = (
        f"--g {g} --method source-only --backbone resnet18 --size 32 --steps 1 --source-batch 9 --offline --source dslr"
    )
    other = cli(f"reproduce office31 {line} --data {tmp_path} --offline --workdir other")
    assert other.code == 0, other.err
    assert "resnet18 starts from random weights" in other.err
    assert "| office31/webcam | the file of --g | " in other.out
    assert "| method | D to A | D to W | mean |" in other.out
    assert "(0.514) | 0." in other.out
    assert "(0.713)" not in other.out
    assert "--source-batch 9" in other.err
    assert "--source amazone: choose one of" in cli(f"reproduce office31 --source amazone --data {tmp_path}").err


def test_office31_on_a_fixed_backbone(cli, tmp_path):
    tree(tmp_path)
    weights_of("test_vit", tmp_path / "vit.safetensors")
    fixed = f"--backbone timm:test_vit --weights {tmp_path / 'vit.safetensors'}"
    line = f"reproduce office31 {fixed} --steps 1 --source dslr --method source-only --method ccn+ --data {tmp_path}"
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["weights"] == ["timm:test_vit"]
    tables = (tmp_path / "clusterkit-out" / "office31" / "office31.md").read_text()
    assert "| office31/webcam | office31/dslr | " in tables
    again = cli(f"{line} --json --resume")
    assert (again.out, "$ clusterkit" in again.err) == (done.out, False)
    for words in (f"{fixed} --weights no.pth", "--backbone timm:test_vitt", "--fine-tune 1"):
        wrong = cli(f"reproduce office31 {words} --data {tmp_path}")
        assert (wrong.code, wrong.out) == (2, "")
    assert (tmp_path / "clusterkit-out" / "office31" / "office31.md").read_text() == tables


def test_office31_that_is_not_there(cli, tmp_path):
    done = cli(f"reproduce office31 --data {tmp_path} --offline --backbone conv4 --size 32")
    assert (done.code, done.out) == (3, "")
    assert "office31 is not in" in done.err.splitlines()[-1]
