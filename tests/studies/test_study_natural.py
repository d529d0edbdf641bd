"""The study of photos, on the embedded digits."""

import json

from clusterkit.config import Backbone
from clusterkit.studies import natural
from clusterkit.studies.common.tables import where
from tests.study_files import check_files


def test_unseen_photos(cli, tmp_path, monkeypatch):
    setting = natural.Setting("digits@0-4", "digits@5-9", "digits@5-9", (5, 8), Backbone.MLP, 5, 10, 20, 10, 10)
    monkeypatch.setitem(natural.SETTINGS, "cifar10", setting)
    line = "reproduce natural --set cifar10 --budget 0.1 --seeds 2 --json"
    done = cli(line)
    assert done.code == 0, done.err
    how = json.loads(done.out)["trained"]["cifar10"]
    assert how == {"backbone": "mlp", "pretrain_epochs": 2, "g_epochs": 1, "cluster_epochs": 1}
    rows = where(check_files("natural", natural.NaturalOptions(budget=0.1)), subset="mean", metric="acc")
    assert [(row.method, row.loss, row.k, row.seed) for row in rows] == [
        (*method, k, seed)
        for k in ("5", "8")
        for method in (("kmeans", ""), ("ccn", "kcl"), ("ccn", "ccl"))
        for seed in (0, 1)
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
        ("--set letters", 2, "--set letters: choose one of cifar10, imagenet"),
        ("--loss hinge", 2, "--loss hinge"),
        ("--budget 2", 2, "--budget"),
        ("", 2, "none of cifar10, imagenet; name one with --set to get it"),
        ("--set imagenet --offline", 3, "imagenet/train/CLASS/*.JPEG"),
    ):
        done = cli(f"reproduce natural {line} --data {tmp_path}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]
