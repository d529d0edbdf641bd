"""The study of digits, on the embedded ones."""

import json
import shutil

import numpy as np

from clusterkit.adaptation import ADAPTATIONS
from clusterkit.config import AdaptConfig, Backbone, Kind, TrainGConfig
from clusterkit.features.choice import with_training
from clusterkit.losses import Loss
from clusterkit.stages import self_train
from clusterkit.studies import digits
from clusterkit.studies.common.tables import where
from tests.study_files import check_files

METHODS = list(ADAPTATIONS)


def test_digits(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(
        digits,
        "G",
        with_training(
            TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, size=8), Kind.CHARACTERS
        ),
    )
    monkeypatch.setattr(digits, "ADAPT", AdaptConfig(source="", target="", backbone=Backbone.MLP, size=8))
    monkeypatch.setitem(digits.TASKS, "svhn-mnist", digits.Task("digits@0-4", "digits@0-4", "digits@0-4"))
    line = "reproduce digits --g-epochs 1 --steps 1 --seeds 2 --task svhn-mnist --oracle --loss mcl --json"
    done = cli(line)
    assert done.code == 0, done.err
    assert json.loads(done.out)["settings"]["loss"] == "ccl"
    options = digits.DigitsOptions(steps=1, seeds=2, loss=Loss.CCL, oracle=True)
    rows = where(check_files("digits", options), set="svhn-mnist")
    found = where(rows, subset="target", metric="accuracy")
    assert [(row.method, row.seed) for row in found] == [(method, seed) for method in METHODS for seed in (0, 1)]
    for row in found:
        run = where(rows, method=row.method, seed=row.seed)
        assert {"entropy", "balance", "agreement"} <= {one.metric for one in where(run, subset="target")}
        # Here the test set is the target, and there is one snapshot, the last.
        assert [one.value for one in where(run, subset="test")] == [row.value, row.value]
    tables = (tmp_path / "clusterkit-out" / "digits" / "digits.md").read_text()
    assert "(0.891) | 0." in tables
    assert "| svhn-mnist | CCN++, oracle | 0." in tables
    assert "**Not a result**" in tables
    assert "| digits@0-4 | 0." in tables
    assert "| Sener et al. (2016) | LTR | 0.549 | 0.788 | +0.239 |" in tables
    # What another run left there is none of its snapshots.
    last = tmp_path / "clusterkit-out" / "digits" / "svhn-mnist"
    shutil.copy(last / "dann-seed0" / "adapted-1.safetensors", last / "ccn+-seed0" / "adapted-2.safetensors")
    again = cli(f"{line} --resume")
    assert again.out == done.out
    assert "$ clusterkit adapt" not in again.err
    assert "$ clusterkit adapt digits@0-4 digits@0-4 --method ccn++ --pairs clusterkit-out" in done.err

    g = tmp_path / "clusterkit-out" / "digits" / "g.safetensors"
    other = cli(f"reproduce digits --g {g} --task svhn-mnist --method dann --steps 1 --seeds 1 --workdir other")
    assert other.code == 0, other.err
    assert "| svhn-mnist | DANN | 0." in other.out
    assert "Oracle" not in other.out
    assert "--variation none" in other.err

    monkeypatch.setattr(digits, "SELF_TRAINING", 1)
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)
    line = f"--g {g} --task svhn-mnist --method ccn+ --steps 1 --seeds 1 --variation mild --self-train"
    third = cli(f"reproduce digits {line} --workdir third")
    assert third.code == 0, third.err
    assert third.err.count("$ clusterkit self-train digits@0-4 --g") == 1
    assert "after self-train on the unlabelled target" in third.out
    assert "--variation" not in third.err


def test_digits_that_are_not_there(cli, tmp_path):
    for line, code, word in (
        ("--task mnist-svhn", 2, "--task mnist-svhn: choose one of usps-mnist, mnist-usps, svhn-mnist"),
        ("--method cdan", 2, "cdan"),
        ("--loss hinge --task usps-mnist", 2, "--loss hinge"),
        ("", 2, "none of usps-mnist, mnist-usps, svhn-mnist; name one with --task to get it"),
        ("--task usps-mnist --g nowhere.safetensors", 3, "nowhere.safetensors: no such file"),
    ):
        done = cli(f"reproduce digits {line} --data {tmp_path}")
        assert (done.code, done.out) == (code, "")
        assert word in done.err.splitlines()[-1]
