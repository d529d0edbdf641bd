"""The study of Omniglot, on a few made-up letters."""

import json
from pathlib import Path

import numpy as np
import pytest

from clusterkit.config import Backbone, ClusterConfig, Kind, SelfTrainConfig, TrainGConfig
from clusterkit.features.choice import with_training
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.metrics.n_way import n_way
from clusterkit.settings import CountedBy, Init
from clusterkit.stages import evaluate, self_train
from clusterkit.studies import omniglot
from clusterkit.studies.common.tables import where
from tests.study_files import check_files

LINE = "reproduce omniglot --loss mcl --k 30 --k auto --k known --seeds 2 --seed 5 --init random"
OPTIONS = omniglot.OmniglotOptions(
    loss=(Loss.CCL,), k=(30, CountedBy.ESTIMATE, CountedBy.LABELS), seeds=2, init=Init.RANDOM
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        omniglot,
        "G",
        with_training(
            TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, size=8, epochs=1), Kind.CHARACTERS
        ),
    )
    cluster = ClusterConfig(
        dataset="glyphs_eval@12-27,40-47", k=30, options=CcnOptions(backbone=Backbone.MLP, epochs=1)
    )
    monkeypatch.setattr(omniglot, "CLUSTER", cluster)
    monkeypatch.setattr(omniglot, "BACKBONE", Backbone.MLP)
    monkeypatch.setattr(omniglot, "SELF_TRAIN", SelfTrainConfig(dataset=cluster.dataset, rounds=1))
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)
    monkeypatch.setattr(omniglot, "DIGITS", "digits")
    monkeypatch.setattr(evaluate, "n_way", lambda *given: n_way(*given[:3], 5, given[4]))


def test_a_study_writes_tables_and_goes_on_where_it_stopped(cli, tmp_path):
    done = cli(f"{LINE} --json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    folder = tmp_path / "clusterkit-out" / "omniglot"
    assert result.pop("artifact") == str(Path("clusterkit-out/omniglot/omniglot.md"))
    assert json.loads((folder / "omniglot.json").read_text()) == result
    assert result["settings"] == {
        "g": None, "epochs": 100, "loss": ["ccl"], "k": [30, "auto", "known"], "seeds": 2, "init": "random",
        "self_train": True, "seed": 5,
    }  # fmt: skip
    rows = check_files("omniglot", OPTIONS)
    runs = [(row.k, row.seed) for row in where(rows, metric="acc", subset="mean")]
    assert runs == [("30", 5), ("30", 6), ("auto", 5), ("auto", 6), ("known", 5), ("known", 6)]
    scores = {(row.set, row.metric) for row in where(rows, method="g", subset="mean")}
    assert {("omniglot", "similar_f1"), ("omniglot", "5_way"), ("omniglot", "20_way"), ("digits", "10_way")} <= scores
    tables = (folder / "omniglot.md").read_text()
    assert "| CCN, CCL | 30 | " in tables
    assert "| CCN, CCL | known | " in tables
    assert "0.897)" in tables
    assert "| consensus | " in tables
    assert (folder / "confusions.png").read_bytes().startswith(b"\x89PNG")
    for name in ("Morwen", "Nastric", "Ostrava"):
        assert tables.count(f"| {name} | 8 |") == 3
    assert (folder / "self-trained.safetensors").exists()
    assert "| score | G | self-trained | published |" in tables
    assert not (folder / "omniglot.tex").exists()

    (folder / "ccl-k30-seed6" / "assignments.h5").unlink()
    before = {name: (folder / name).read_bytes() for name in ("omniglot.md", "omniglot.json", "results.csv")}
    again = cli(f"{LINE} --json --resume")
    assert again.out == done.out
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert again.err.count("kept, because an earlier run of this command made it") == 8
    assert again.err.count("$ clusterkit cluster") == 1

    g = folder / "g.safetensors"
    other = cli(f"reproduce omniglot --loss kcl --k 30 --seeds 1 --seed 9 --no-self-train --g {g} --workdir other")
    assert other.code == 0, other.err
    assert "train-g" not in other.err
    assert "| CCN, KCL | 30 | " in other.out
    assert "--init g" in other.err
    assert "head on the features of G (`--init g`)" in other.out
    assert "--init g" not in tables
    assert "| score | G | published |" in other.out
    assert not (tmp_path / "other" / "omniglot" / "self-trained.safetensors").exists()
    assert (tmp_path / "other" / "omniglot" / "g.safetensors").read_bytes() == g.read_bytes()
    other = cli("reproduce omniglot --loss kcl --k 30 --seeds 1 --seed 8 --no-self-train --resume --workdir other")
    assert other.err.count("$ clusterkit train-g") == 1, "its G is of another seed"


def test_rows_are_those_of_the_stages(cli, tmp_path):
    line = "reproduce omniglot --loss ccl --k 30 --seeds 1 --seed 5 --no-self-train --init random --latex"
    done = cli(line)
    assert done.code == 0, done.err
    folder = tmp_path / "clusterkit-out" / "omniglot"
    options = omniglot.OmniglotOptions(loss=(Loss.CCL,), k=(30,), seeds=1, self_train=False, init=Init.RANDOM)
    rows = where(check_files("omniglot", options), method="ccn")
    run = folder / "ccl-k30-seed5"
    evaluation = json.loads((run / "evaluation.json").read_text())
    for subset, scores in {**evaluation["subsets"], "mean": evaluation["mean"]}.items():
        for metric, value in scores.items():
            assert [row.value for row in where(rows, subset=subset, metric=metric)] == [value]
    for subset, estimates in json.loads((run / "k.json").read_text())["estimates"].items():
        for name, value in estimates.items():
            assert [row.value for row in where(rows, subset=subset, metric=f"k_hat_{name}")] == [value]
    [adif] = where(rows, metric="adif_ndc")
    assert adif.value == evaluation["mean"]["adif"]
    text = (folder / "omniglot.tex").read_text()
    lines = (folder / "omniglot.md").read_text().splitlines()
    assert text.count(r"\begin{table}") == sum(line.startswith("| --- |") for line in lines) == 5
    assert r"similar\_recall" in text


def test_bad_words(cli, tmp_path):
    assert cli("reproduce").code == 2
    assert cli("reproduce nothing").code == 2
    for line, code, word in (
        ("--loss hinge", 2, "--loss hinge"),
        ("--k 1 --seeds 1", 2, "--k 1"),
        ("--seeds 0", 2, "--seeds"),
        ("--g nowhere.safetensors", 3, "nowhere.safetensors: no such file"),
    ):
        done = cli(f"reproduce omniglot {line}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]
    assert not (tmp_path / "clusterkit-out").exists()
