import json
from pathlib import Path

import numpy as np
import pytest

from clusterkit.cli.reproduce import natural, omniglot, omniglot_mnist, supervised
from clusterkit.config import Backbone, ClusterConfig, Optimizer, SelfTrainConfig, TrainGConfig
from clusterkit.methods import CcnOptions
from clusterkit.metrics.n_way import n_way
from clusterkit.stages import evaluate, self_train

LINE = "reproduce omniglot --loss mcl --k 30 --k auto --k known --seeds 2 --seed 5 --init random"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    g = TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, epochs=1)
    monkeypatch.setattr(omniglot, "G", g)
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


def test_supervised_clustering_beside_classification(cli, tmp_path, monkeypatch):
    setting = supervised.Setting(10, (Backbone.MLP,), 40, 20, 100, 0.1, Optimizer.SGD)
    monkeypatch.setattr(supervised, "SETTINGS", {"digits": setting})
    monkeypatch.setattr(supervised, "parts", lambda name: (name, name))
    line = "reproduce supervised --set digits --budget 0.1 --json"
    done = cli(line)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert [(run["loss"], run["epochs"], run["drop_every"]) for run in result["runs"]] == [
        (loss, 4, 2) for loss in ("ce", "kcl", "ccl")
    ]
    assert result["runs"][0]["accuracy"] > 0.9
    tables = (tmp_path / "clusterkit-out" / "supervised" / "supervised.md").read_text()
    assert "| digits | mlp | 10 | 0.9" in tables
    assert "| digits | 4 | 100 | sgd | 0.1 | 2 |" in tables
    again = cli(f"{line} --resume")
    assert again.out == done.out
    assert again.err.count("kept, an earlier run of this command made it") == 6
    assert "clusterkit cluster" not in again.err
    assert "$ clusterkit cluster digits --k 10 --pairs labels --loss kcl --backbone mlp --epochs 4" in done.err


def test_supervised_sets_that_are_not_there(cli, tmp_path):
    for line, word in (
        ("--set letters", "--set letters: choose of mnist, cifar10, cifar100"),
        ("--loss hinge", "--loss hinge: choose of ce, kcl, ccl"),
        ("--budget 0", "--budget"),
        ("", "none of mnist, cifar10, cifar100 is there; name one with --set"),
    ):
        done = cli(f"reproduce supervised {line} --data {tmp_path}")
        assert (done.code, done.out) == (2, "")
        assert word in done.err.splitlines()[-1]
    done = cli(f"reproduce supervised --set mnist --data {tmp_path} --offline")
    assert (done.code, done.out) == (3, "")
    assert "mnist_train is not in" in done.err.splitlines()[-1]


def test_omniglot_to_digits(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(omniglot_mnist, "G", TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16))
    monkeypatch.setattr(omniglot_mnist, "CHARACTERS", "glyphs_eval")
    monkeypatch.setattr(omniglot_mnist, "SELF_TRAINING", 1)
    monkeypatch.setattr(omniglot_mnist, "CLUSTER", ClusterConfig(k=10, options=CcnOptions(backbone=Backbone.MLP)))
    targets = {
        "mnist": omniglot_mnist.Target("digits", "digits", 2),
        "digits": omniglot_mnist.Target("digits", None, 2),
    }
    monkeypatch.setattr(omniglot_mnist, "TARGETS", targets)
    line = "reproduce omniglot-mnist --g-epochs 1 --epochs 1 --rounds 2 --target mnist --target digits"
    done = cli(f"{line} --loss mcl --json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["targets"]["mnist"]["runs"][0].keys() == {"loss", "epochs", "rounds", "train", "test"}
    assert result["targets"]["digits"]["runs"][0].keys() == {"loss", "epochs", "rounds", "train"}
    tables = (tmp_path / "clusterkit-out" / "omniglot-mnist" / "omniglot-mnist.md").read_text()
    assert "(0.988)" in tables
    assert "| omniglot_eval | 20 | " in tables
    assert "| digits | similar recall | " in tables
    again = cli(f"{line} --loss ccl --json --resume")
    assert again.out == done.out
    assert "$ clusterkit" not in again.err

    g = tmp_path / "clusterkit-out" / "omniglot-mnist" / "g.safetensors"
    other = cli(f"reproduce omniglot-mnist --g {g} --rounds 1 --loss kcl --no-self-train --workdir other")
    assert other.code == 0, other.err
    assert "self-train " not in other.err
    assert "| mnist | KCL | 2 | 1 | " in other.out


def test_omniglot_to_nothing(cli):
    for line, code, word in (
        ("--target letters", 2, "--target letters: choose of mnist, fashion_mnist, usps, digits"),
        ("--loss hinge", 2, "--loss hinge"),
        ("--g nowhere.safetensors", 3, "nowhere.safetensors: no such file"),
    ):
        done = cli(f"reproduce omniglot-mnist {line}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]


def test_unseen_photos(cli, tmp_path, monkeypatch):
    study = natural.Study("digits@0-4", "digits@5-9", "digits@5-9", (5, 8), Backbone.MLP, 5, 10, 20, 10, 10)
    monkeypatch.setattr(natural, "STUDIES", {"cifar10": study})
    line = "reproduce natural --set cifar10 --budget 0.1 --seeds 2 --json"
    done = cli(line)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    found = result["sets"]["cifar10"]
    assert found["trained"] == {"backbone": "mlp", "pretrain_epochs": 2, "g_epochs": 1, "cluster_epochs": 1}
    methods = [(run["method"], run["k"], run["seed"]) for run in found["runs"]]
    assert methods == [
        (method, k, seed) for k in ("5", "8") for method in ("k-means", "CCN, KCL", "CCN, CCL") for seed in (0, 1)
    ]
    tables = (tmp_path / "clusterkit-out" / "natural" / "natural.md").read_text()
    assert "(0.665) |" in tables
    assert "| cifar10 | similar precision | 0." in tables
    assert "--init clusterkit-out/natural/cifar10/pretrained.safetensors" in done.err
    again = cli(f"{line} --resume")
    assert again.out == done.out
    assert "$ clusterkit" not in again.err
    # A k-means has no training to go on with, and is run again.
    [made] = (tmp_path / "clusterkit-out" / "natural").rglob("kmeans-k5-seed0/assignments.h5")
    made.unlink()
    once_more = cli(f"{line} --resume")
    assert once_more.out == done.out, once_more.err
    assert once_more.err.count("$ clusterkit") == 1


def test_unseen_photos_of_nothing(cli, tmp_path):
    for line, code, word in (
        ("--set letters", 2, "--set letters: choose of cifar10, imagenet"),
        ("--loss hinge", 2, "--loss hinge"),
        ("--budget 2", 2, "--budget"),
        ("", 2, "none of cifar10, imagenet is there; name one with --set"),
        ("--set imagenet --offline", 3, "imagenet/train/CLASS/*.JPEG"),
    ):
        done = cli(f"reproduce natural {line} --data {tmp_path}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]
