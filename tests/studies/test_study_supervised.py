"""The study of supervised clustering, on the embedded digits."""

import json

from clusterkit.config import Backbone, Optimizer
from clusterkit.studies import supervised
from clusterkit.studies.common.tables import where
from tests.study_files import check_files


def test_supervised_clustering_beside_classification(cli, tmp_path, monkeypatch):
    setting = supervised.Setting(10, (Backbone.MLP,), 40, 20, 100, 0.1, Optimizer.SGD)
    monkeypatch.setitem(supervised.SETTINGS, "digits", setting)
    monkeypatch.setattr(supervised, "parts", lambda name: (name, name))
    line = "reproduce supervised --set digits --budget 0.1 --json"
    done = cli(line)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    how = result["trained"]["digits"]
    assert (how["epochs"], how["drop_every"]) == (4, 2)
    rows = where(check_files("supervised", supervised.SupervisedOptions(budget=0.1)), subset="mean")
    assert [row.loss for row in where(rows, metric="acc")] == ["ce", "kcl", "ccl"]
    [row] = where(rows, metric="accuracy")
    assert (row.loss, row.method, row.k) == ("ce", "mlp", "10")
    assert row.value > 0.9
    tables = (tmp_path / "clusterkit-out" / "supervised" / "supervised.md").read_text()
    assert "| digits | mlp | 10 | 0.9" in tables
    assert "| digits | 4 | 100 | sgd | 0.1 | 2 |" in tables
    again = cli(f"{line} --resume")
    assert again.out == done.out
    assert again.err.count("kept, because an earlier run of this command made it") == 6
    assert "clusterkit cluster" not in again.err
    command = "$ clusterkit cluster digits --k 10 --pairs labels --loss kcl --init random --backbone mlp --epochs 4"
    assert command in done.err


def test_supervised_sets_that_are_not_there(cli, tmp_path):
    for line, word in (
        ("--set letters", "--set letters: choose one of mnist, cifar10, cifar100"),
        ("--loss hinge", "--loss hinge: choose one of ce, kcl, ccl"),
        ("--budget 0", "--budget"),
        ("", "none of mnist, cifar10, cifar100; name one with --set to get it"),
    ):
        done = cli(f"reproduce supervised {line} --data {tmp_path}")
        assert (done.code, done.out) == (2, "")
        assert word in done.err.splitlines()[-1]
    done = cli(f"reproduce supervised --set mnist --data {tmp_path} --offline")
    assert (done.code, done.out) == (3, "")
    assert "mnist_train is not in" in done.err.splitlines()[-1]
