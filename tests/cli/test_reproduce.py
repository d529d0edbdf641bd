import json
from pathlib import Path

import numpy as np
import pytest

from clusterkit.cli.reproduce import omniglot
from clusterkit.config import Backbone, ClusterConfig, SelfTrainConfig, TrainGConfig
from clusterkit.stages import self_train

LINE = "reproduce omniglot --loss mcl --k 30 --k auto --k known --seeds 2 --seed 5 --init random"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    g = TrainGConfig("glyphs_bg@0-11", Backbone.MLP, hidden=16, epochs=1)
    monkeypatch.setattr(omniglot, "G", g)
    cluster = ClusterConfig("glyphs_eval@12-27,40-47", k="30", backbone=Backbone.MLP, epochs=1)
    monkeypatch.setattr(omniglot, "CLUSTER", cluster)
    monkeypatch.setattr(omniglot, "BACKBONE", Backbone.MLP)
    monkeypatch.setattr(omniglot, "SELF_TRAIN", SelfTrainConfig(cluster.dataset, rounds=1))
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)
    monkeypatch.setattr(omniglot, "DIGITS", "digits")


def test_a_study_writes_tables_and_goes_on_where_it_stopped(cli, tmp_path):
    done = cli(f"{LINE} --json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    runs = [(run["k"], run["seed"]) for run in result["runs"]]
    assert runs == [("30", 5), ("30", 6), ("auto", 5), ("auto", 6), ("known", 5), ("known", 6)]
    assert {"similar_f1", "5_way", "20_way", "mnist 10_way"} <= result["g"]["mean"].keys()
    folder = tmp_path / "clusterkit-out" / "omniglot"
    assert result["artifact"] == str(Path("clusterkit-out/omniglot/omniglot.md"))
    tables = (folder / "omniglot.md").read_text()
    assert "| CCN, CCL | 30 | " in tables
    assert "| CCN, CCL | known | " in tables
    assert "0.897)" in tables
    assert "| consensus | " in tables
    assert (folder / "confusions.png").read_bytes().startswith(b"\x89PNG")
    for name in ("Morwen", "Nastric", "Ostrava"):
        assert tables.count(f"| {name} | 8 |") == 3
    assert json.loads((folder / "omniglot.json").read_text()) == {
        name: result[name] for name in ("g", "self-trained g", "runs")
    }
    assert (folder / "self-trained.safetensors").exists()
    assert "| score | G | self-trained | published |" in tables

    (folder / "ccl-k30-seed6" / "assignments.h5").unlink()
    again = cli(f"{LINE} --json --resume")
    assert json.loads(again.out) == result
    assert again.err.count("kept, an earlier run of this command made it") == 8
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
