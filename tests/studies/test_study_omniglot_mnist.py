"""The study from Omniglot to MNIST, on made-up letters and the embedded digits."""

import json

import numpy as np

from clusterkit.config import Backbone, ClusterConfig, Kind, TrainGConfig
from clusterkit.features.choice import with_training
from clusterkit.losses import Loss
from clusterkit.methods import CcnOptions
from clusterkit.settings import Init
from clusterkit.stages import self_train
from clusterkit.studies import omniglot_mnist
from clusterkit.studies.common.tables import where
from tests.study_files import check_files


def test_omniglot_to_digits(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(
        omniglot_mnist,
        "G",
        with_training(
            TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, size=8), Kind.CHARACTERS
        ),
    )
    monkeypatch.setattr(omniglot_mnist, "CHARACTERS", "glyphs_eval")
    monkeypatch.setattr(omniglot_mnist, "SELF_TRAINING", 1)
    monkeypatch.setattr(
        omniglot_mnist, "CLUSTER", ClusterConfig(k=10, options=CcnOptions(init=Init.RANDOM, backbone=Backbone.MLP))
    )
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)
    for name, test in (("mnist", "digits@0-4"), ("digits", None)):
        monkeypatch.setitem(omniglot_mnist.TARGETS, name, omniglot_mnist.Target("digits@0-4", test, 2))
    line = "reproduce omniglot-mnist --g-epochs 1 --epochs 1 --rounds 2 --target mnist --target digits"
    done = cli(f"{line} --loss mcl --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["epochs"] == {"mnist": 1, "digits": 1}
    options = omniglot_mnist.OmniglotMnistOptions(target=("mnist", "digits"), loss=(Loss.CCL,), epochs=1, rounds=2)
    rows = where(check_files("omniglot-mnist", options), metric="acc")
    assert [(row.set, row.subset) for row in rows] == [("mnist", "train"), ("mnist", "test"), ("digits", "train")]
    tables = (tmp_path / "clusterkit-out" / "omniglot-mnist" / "omniglot-mnist.md").read_text()
    assert "(0.988)" in tables
    assert "| glyphs_eval | 20 | " in tables
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
        ("--target letters", 2, "--target letters: choose one of mnist, fashion_mnist, usps, digits"),
        ("--loss hinge", 2, "--loss hinge"),
        ("--g nowhere.safetensors", 3, "nowhere.safetensors: no such file"),
    ):
        done = cli(f"reproduce omniglot-mnist {line}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]
