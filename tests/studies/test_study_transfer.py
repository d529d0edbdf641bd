"""The studies of transfer, on a few made-up letters and tiny networks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.json_file import read_json
from clusterkit.config import Backbone, Kind, TrainGConfig
from clusterkit.errors import DivergedError, UsageError
from clusterkit.features.choice import with_training
from clusterkit.losses import Loss
from clusterkit.methods import METHODS, ccn
from clusterkit.methods.common.joint_options import JointOptions, SupremeOptions
from clusterkit.settings import CountedBy, File
from clusterkit.stages import self_train
from clusterkit.studies import transfer, transfer_ablations
from clusterkit.studies.common import measured, runs
from clusterkit.studies.common import transfer as shared
from clusterkit.studies.common.tables import where
from clusterkit.studies.common.transfer import SETTINGS, Setting, Transfer
from tests.study_files import check_files

A, T = "glyphs_bg@0-3", "glyphs_eval@0-3,20-23"
OPTIONS = transfer.TransferOptions(sets=("cifar10", "omniglot"), epochs=3)
FOLDER = Path("clusterkit-out/transfer")
WHOLE = dict(SETTINGS)
"""The settings as they are, of which the tests make small ones."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(
        task=Transfer(A, T, CountedBy.LABELS), held_out=Transfer("glyphs_bg@0-1", "glyphs_bg@2-3", 2),
        kind=Kind.CHARACTERS, backbone=Backbone.MLP, size=8, epochs=2, full=(Backbone.LENET, 3), classes_per_batch=4,
    )  # fmt: skip
    monkeypatch.setitem(SETTINGS, "omniglot", setting)
    monkeypatch.setitem(SETTINGS, "cifar10", replace(setting, task=Transfer(A, "glyphs_eval@0-3", 4)))
    g = TrainGConfig(dataset=A, backbone=Backbone.MLP, hidden=16, size=8, epochs=1)
    monkeypatch.setattr(runs, "OMNIGLOT_G", with_training(g, Kind.CHARACTERS))
    monkeypatch.setattr(transfer, "PLAIN_EPOCHS", 1)
    monkeypatch.setattr(transfer, "PLAIN_ROUNDS", 1)
    monkeypatch.setattr(transfer, "OUTPUTS", 8)
    monkeypatch.setattr(ccn, "BATCHES", dict.fromkeys(Loss, 2))
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)


def test_every_method_starts_from_one_network_and_goes_on_where_it_stopped(cli, tmp_path):
    line = "reproduce transfer --set cifar10 --set omniglot --epochs 3 --json"
    done = cli(line)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    rows = where(check_files("transfer", OPTIONS), subset="mean", metric="acc")
    everywhere = [line.key for name, line in transfer.LINES.items() if name != "ccn"]
    assert [(row.method, row.loss) for row in where(rows, set="cifar10")] == everywhere
    assert [(row.method, row.loss) for row in where(rows, set="omniglot")] == [
        line.key for line in transfer.LINES.values()
    ]
    assert {row.k for row in rows} == {"4", "known"}
    how = result["trained"]["cifar10"]
    assert how["epochs"]["classifier"] == 2
    assert {how["epochs"][name] for name in ("g", "kcl", "mcl", "supreme")} == {3}
    assert all(row.seconds > 0 for row in rows)
    start = FOLDER / "cifar10" / "pretrained.safetensors"
    commands = [text for text in done.err.splitlines() if "$ clusterkit" in text and f"{FOLDER}/cifar10" in text]
    assert all(f"--init {start}" in text or f"--features {start}" in text for text in commands if " cluster " in text)
    assert sum(" pretrain " in text for text in commands) == 1
    [command] = [text for text in commands if "--method supreme" in text]
    assert f"--epochs 3 --source {A}" in command
    [made] = tmp_path.rglob("cifar10/supreme-seed0/assignments.h5")
    made.unlink()
    again = cli(f"{line} --resume")
    assert again.code == 0, again.err
    assert [text.split()[3] for text in again.err.splitlines() if "$ clusterkit" in text] == ["cluster"]
    values = [[(row["metric"], row["value"]) for row in json.loads(text)["rows"]] for text in (done.out, again.out)]
    assert values[0] == values[1]


def test_labels_of_t_change_the_scores_alone(cli, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)
    clusters = []
    for labels in (np.arange(40) % 2, np.arange(40) // 20):
        np.savez(tmp_path / "t.npz", x=images, y=labels)
        SETTINGS["cifar10"] = replace(SETTINGS["cifar10"], task=Transfer(A, "arrays:t.npz", 2))
        done = cli("reproduce transfer --set cifar10 --epochs 1 --method kcl --method supreme")
        assert done.code == 0, done.err
        files = [FOLDER / "cifar10" / f"{name}-seed0" / "assignments.h5" for name in ("kcl", "supreme")]
        clusters.append([read_assignments(file)[1]["all"].prob.tolist() for file in files])
    assert clusters[0] == clusters[1]


def test_one_alphabet_from_a_network_of_ones_own(cli):
    assert cli(f"pretrain {A} --backbone mlp --size 8 --epochs 1 --workdir own").code == 0
    line = "reproduce transfer --set omniglot --alphabet Nastric --method kmeans --method supreme --pretrained"
    done = cli(f"{line} own/pretrained.safetensors --epochs 1 --seeds 2 --json")
    assert done.code == 0, done.err
    assert "$ clusterkit pretrain" not in done.err
    rows = where(json_rows(done.out), metric="acc")
    # A mean over all alphabets is published, so none stands beside one.
    assert {(row.set, row.subset, row.published) for row in rows} == {
        ("omniglot/Nastric", subset, None) for subset in ("Nastric", "mean")
    }
    assert {row.seed for row in rows} == {0, 1}
    assert "classifier" not in json.loads(done.out)["trained"]["omniglot/Nastric"]["epochs"]


@pytest.mark.parametrize(
    ("pretrain", "line", "word"),
    [
        (
            f"{A} --size 16",
            "transfer --set omniglot",
            "reads items of shape (1, 16, 16), but --set omniglot has images of",
        ),
        ("synthetic:blobs", "transfer --set omniglot", "reads items of shape (2,)"),
        ("glyphs_eval@20-25 --size 8", "transfer --set omniglot", f"learned labels of {T}, which the study clusters"),
        (f"{A} --size 8", "transfer-ablations --set cifar10 --held-out", "learned labels of glyphs_bg@2-3, which the"),
    ],
)
def test_networks_that_are_no_start(cli, tmp_path, pretrain: str, line: str, word: str):
    assert cli(f"pretrain {pretrain} --backbone mlp --epochs 1 --workdir own").code == 0
    done = cli(f"reproduce {line} --pretrained own/pretrained.safetensors")
    assert (done.code, done.out) == (3, "")
    assert word in done.err.splitlines()[-1]
    assert not (tmp_path / "clusterkit-out").exists()


@pytest.mark.parametrize(
    ("train", "word"),
    [
        ("synthetic:blobs --backbone mlp", "reads items of shape (2,), not images as in glyphs_eval"),
        ("glyphs_eval@20-23 --size 8 --backbone mlp", f"learned labels of {T}, which the study clusters"),
    ],
)
def test_a_g_that_is_no_start(cli, tmp_path, train: str, word: str):
    assert cli(f"train-g {train} --hidden 8 --epochs 1 --workdir own").code == 0
    done = cli("reproduce transfer --set omniglot --method ccn --g own/g.safetensors")
    assert (done.code, done.out) == (3, "")
    assert word in done.err.splitlines()[-1]
    assert not (tmp_path / "clusterkit-out").exists()


def test_a_network_that_learned_other_sets_is_told(cli):
    line = (
        "reproduce transfer --set omniglot --alphabet Nastric --method kmeans --pretrained own/pretrained.safetensors"
    )
    for pretrain, learned in ((f"{A} --task rotation", "no labels"), ("digits", "digits"), (A, "")):
        assert cli(f"pretrain {pretrain} --size 8 --backbone mlp --epochs 1 --workdir own").code == 0
        done = cli(f"{line} --json")
        assert done.code == 0, done.err
        assert (f"own/pretrained.safetensors: learned {learned}, not {A}" in done.err) is bool(learned)


def test_k_estimated_by_the_plain_commands(cli, tmp_path):
    line = "reproduce transfer --set omniglot --k auto --k known --method ccn --method dtc --epochs 1 --json"
    done = cli(line)
    assert done.code == 0, done.err
    rows = where(json_rows(done.out), metric="acc", subset="mean")
    assert [(row.method, row.k) for row in rows] == [
        ("ccn-plain", "known"), ("ccn-plain", "auto"), ("dtc", "known"), ("dtc", "auto"),
    ]  # fmt: skip
    assert [row.published for row in where(rows, method="dtc")] == [0.89, 0.87]
    folders = [tmp_path / FOLDER / "omniglot" / name for name in ("ccn-kauto-seed0", "dtc-kauto-seed0")]
    first, second = [read_json(folder / "k.json", "k")[1]["recommended"] for folder in folders]
    assert first == second
    found = read_assignments(folders[1] / "assignments.h5")[1]
    assert {name: items.prob.shape[1] for name, items in found.items()} == {
        name: max(2, k) for name, k in first.items()
    }
    assert done.err.count("over-clustered --seed 0") == 1
    again = cli(f"{line} --resume")
    assert [text.split()[3] for text in again.err.splitlines() if "$ clusterkit" in text] == ["estimate-k"] * 2
    assert again.out == done.out


def json_rows(text: str) -> list:
    return [transfer.Row(**row) for row in json.loads(text)["rows"]]


def test_the_budgets_of_the_papers(cli, monkeypatch):
    monkeypatch.setitem(SETTINGS, "cifar10", replace(SETTINGS["cifar10"], size=16))
    methods = "--method supreme --method autonovel --method autonovel-incremental"
    done = cli(f"reproduce transfer --set cifar10 {methods} --full --budget 0.01 --json")
    assert done.code == 0, done.err
    how = json.loads(done.out)["trained"]["cifar10"]
    assert how["epochs"] == {"classifier": 1, "autonovel": 2, "autonovel-incremental": 2, "supreme": 1}
    assert how["published"] == {"autonovel": 200, "autonovel-incremental": 200, "supreme": 100}
    classifier, rotations, last, autonovel, *_ = [text for text in done.err.splitlines() if "$ clusterkit" in text]
    assert "--backbone lenet" in classifier
    assert "--optimizer sgd" in classifier
    assert "pretrain glyphs_bg@0-3 glyphs_eval@0-3 --task rotation" in rotations
    assert f"--init {FOLDER}/cifar10/rotations/pretrained.safetensors --fine-tune 1" in last
    assert f"--init {FOLDER}/cifar10/last-layers/pretrained.safetensors --epochs 2 --fine-tune 1" in autonovel


def test_a_training_that_diverges_costs_only_its_own_row(cli, monkeypatch):
    whole = transfer.clustered

    def clustered(config, *rest, **fields):
        if config.method == "supreme":
            raise DivergedError("cluster all: the loss is not finite in epoch 1")
        return whole(config, *rest, **fields)

    monkeypatch.setattr(transfer, "clustered", clustered)
    line = "reproduce transfer --set cifar10 --epochs 1 --method supreme"
    done = cli(f"{line} --method kmeans")
    assert done.code == 0, done.err
    assert "SUPREME on cifar10 is left out: cluster all: the loss is not finite" in done.err
    assert "Left out on cifar10, because the loss was not finite: SUPREME, seed 0." in done.out
    assert "| k-means | 0." in done.out
    alone = cli(line)
    assert (alone.code, alone.out) == (1, "")
    assert "no method clustered cifar10" in alone.err.splitlines()[-1]


def test_dtc_warms_up_within_its_passes():
    for passes, epochs, warm_up, interval in ((110, 100, 10, 5), (5, 5, 0, 1), (22, 20, 2, 1)):
        config = shared.joint("dtc", Transfer(A, T, 4), File("start"), passes, shared.Precision.FP32)
        options = config.options
        assert (options.epochs, options.warm_up, options.interval) == (epochs, warm_up, interval)


@pytest.mark.parametrize("name", [name for name, line in transfer.LINES.items() if METHODS[line.method].joint])
@pytest.mark.parametrize("setting", [*WHOLE])
@pytest.mark.parametrize("budget", [1, 0.001, 0.02])
def test_what_the_papers_set_for_a_set_are_options_of_its_method(name: str, setting: str, budget: float):
    options = transfer.TransferOptions(full=True, budget=budget)
    line, task = transfer.LINES[name], WHOLE[setting].task
    work = transfer.Work(setting, setting, task, WHOLE[setting], options, *[shared.Context()] * 2)
    passes, own = transfer.budget_of(work, line)
    config = shared.joint(line.method, task, File("start"), passes, options.precision, own)
    assert isinstance(config.options, JointOptions)
    config.options.check(config, lambda name: False)
    assert passes >= int(60 * budget)


def test_omniglot_has_the_settings_of_the_authors_of_each_method():
    options = transfer.TransferOptions(full=True)
    task = WHOLE["omniglot"].task
    work = transfer.Work("omniglot", "omniglot", task, WHOLE["omniglot"], options, *[shared.Context()] * 2)
    found = {}
    for name in ("dtc", "autonovel"):
        passes, own = transfer.budget_of(work, transfer.LINES[name])
        found[name] = shared.joint(name, task, File("start"), passes, options.precision, own).options
        assert (found[name].optimizer, found[name].consistency_weight) == ("adam", 100)
    dtc, autonovel = found["dtc"], found["autonovel"]
    assert (dtc.learning_rate, dtc.interval, dtc.images, dtc.warm_up, dtc.passes) == (0.001, 1, 100, 9, 91)
    assert (autonovel.learning_rate, autonovel.top, autonovel.images, autonovel.passes) == (0.01, 5, 32, 1400)


def test_settings_of_supreme_one_at_a_time(cli, tmp_path):
    line = "reproduce transfer-ablations --set cifar10 --held-out --vary tau --vary self_weight --epochs 1 --json"
    done = cli(line)
    assert done.code == 0, done.err
    options = transfer_ablations.AblationOptions(held_out=True, epochs=1)
    rows = check_files("transfer-ablations", options)
    runs_made = [row.method for row in where(rows, metric="acc")]
    assert runs_made[0] == "supreme"
    assert len(runs_made) == len({*runs_made}) == 8
    assert {"tau=0.05", "tau=0.25", "self_weight=0", "self_weight=10"} < {*runs_made}
    assert "glyphs_eval" not in done.err
    folder = tmp_path / "clusterkit-out" / "transfer-ablations"
    assert (folder / "sweeps.png").read_bytes().startswith(b"\x89PNG")
    text = (folder / "transfer-ablations.md").read_text()
    assert "| cifar10 | glyphs_bg@0-1 | glyphs_bg@2-3 |" in text
    assert "| 1* | 0." in text
    again = cli(f"{line} --resume")
    assert "$ clusterkit" not in again.err
    assert again.out == done.out


def test_values_of_each_setting_are_options_of_supreme():
    made = transfer_ablations.changes(None)
    assert [SupremeOptions(**options) for options in made.values()]
    assert len(made) == 1 + sum(len(transfer_ablations.values(name)) - 1 for name in transfer_ablations.VALUES)
    sweep = transfer_ablations.values("tau")
    assert sweep == sorted(sweep)
    assert SupremeOptions().tau in sweep


def test_seconds_are_those_of_a_whole_training(tmp_path):
    context, path = shared.Context(workdir=tmp_path, resume=True), tmp_path / "made"

    def make() -> None:
        path.write_text("made")

    assert measured.seconds_of(make, path, context) >= 0
    assert measured.seconds_of(lambda: None, path, context) is not None
    (tmp_path / ".made.state").mkdir()
    path.unlink()
    assert measured.seconds_of(make, path, context) is None
    assert measured.seconds_of(lambda: None, path, context) is None


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("--set letters", 2, "--set letters: choose one of cifar10"),
        ("--method nearest", 2, "--method nearest: choose one of kmeans"),
        ("--budget 2", 2, "--budget"),
        ("--set cifar10 --full --epochs 5", 2, "--epochs 5: --full takes the passes of each paper"),
        ("--set cifar10 --alphabet Angelic", 2, "--alphabet Angelic: only omniglot has alphabets"),
        ("--set omniglot --alphabet Angel", 2, "glyphs_eval has no subset 'Angel'"),
        ("--set cifar10 --method ccn", 2, "--method ccn: is for --set omniglot"),
        ("--set cifar10 --g g.safetensors", 2, "--g g.safetensors: is for --method ccn and --k auto on omniglot"),
        (
            "--set omniglot --method kmeans --g g.safetensors",
            2,
            "--g g.safetensors: is for --method ccn and --k auto on omniglot",
        ),
        ("--set omniglot --g missing.safetensors", 3, "missing.safetensors"),
        ("--set omniglot --set cifar10 --k auto", 2, "--k auto: K is estimated on omniglot alone"),
        ("--set cifar10 --set omniglot --pretrained x", 2, "--pretrained x: is the start of one set"),
        ("--set cifar10 --pretrained x --backbone mlp", 2, "--backbone: --pretrained x has its own"),
        ("--set cifar10 --pretrained missing.safetensors", 3, "missing.safetensors"),
        ("--set svhn --offline", 3, "svhn_train is not in"),
    ],
)
def test_what_cannot_be_compared(cli, tmp_path, line: str, code: int, word: str):
    done = cli(f"reproduce transfer {line} --data {tmp_path}")
    assert (done.code, done.out) == (code, "")
    assert word in done.err.splitlines()[-1]
    assert not (tmp_path / "clusterkit-out").exists()


def test_no_set_at_hand(cli, tmp_path, monkeypatch):
    for name in ("cifar10", "omniglot"):
        monkeypatch.delitem(SETTINGS, name)
    done = cli(f"reproduce transfer --data {tmp_path}")
    assert (done.code, done.out) == (2, "")
    assert "name one with --set to get it" in done.err


def test_settings_that_supreme_does_not_have():
    with pytest.raises(UsageError, match="--vary speed: choose one of pair_weight"):
        transfer_ablations.AblationOptions(vary=("speed",))
