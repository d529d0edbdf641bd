"""What a command leaves behind, says on the way, and guesses that the user meant."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clusterkit import console, training
from clusterkit.training import LINES

REFUSED = """
train-g nowhere
train-g digits --device tpu
train-g folder:missing
train-g arrays:missing.npz
train-g mnist_train --data nodata --offline
train-g digits --size 8 --backbone lenet
train-g digits --init missing.safetensors
train-g digits --backbone resnet18 --pretrained --offline
train-g digits@3
pretrain nowhere
pretrain digits@3
pretrain synthetic:blobs --backbone conv4
self-train
self-train digits
predict-pairs
predict-pairs digits
cluster
cluster digits
cluster digits --k 1798 --pairs labels
cluster digits --k auto
cluster digits --k 2 --method kmeans --features missing.safetensors
cluster digits --k 2 --constraints missing.csv --pairs labels
cluster digits --method hdbscan --k 3
cluster synthetic:blobs --pairs labels --k 5 --backbone conv4
estimate-k
evaluate
evaluate --g missing.safetensors
evaluate --fail-under acc
assign digits
report
adapt digits nowhere
adapt digits digits
adapt digits synthetic:blobs --method source-only
reproduce omniglot --data nodata --offline
reproduce omniglot --g missing.safetensors
reproduce baselines --data nodata --offline
reproduce baselines --set omniglot --data nodata --offline
reproduce supervised --data nodata --offline
reproduce omniglot-mnist --data nodata --offline
reproduce natural --data nodata --offline
reproduce digits --data nodata --offline
reproduce office31 --data nodata --offline
reproduce robustness --data nodata --offline
demo --device tpu
inspect missing.h5
inspect missing.h5 --plot picture.png
datasets --device tpu
""".strip().splitlines()


@pytest.mark.parametrize("line", REFUSED)
def test_a_refused_command_leaves_nothing_behind(line, cli, tmp_path):
    done = cli(line if line.startswith(("inspect", "datasets")) else f"{line} --workdir deep/work")
    assert done.code in (2, 3)
    assert done.out == ""
    assert done.err.count("error: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_no_folders(cli, tmp_path, monkeypatch):
    def fetch(root: Path) -> None:
        (root / "MNIST" / "raw").mkdir(parents=True)
        raise RuntimeError("no network")

    from clusterkit.datasets.catalogue import SOURCES

    monkeypatch.setitem(vars(SOURCES["mnist_train"]), "fetch", fetch)
    done = cli("train-g mnist_train --data nodata")
    assert done.code == 3
    assert "the download failed (no network)" in done.err
    assert list(tmp_path.iterdir()) == []


WEAK = "train-g glyphs_bg@0-11 --size 8 --backbone mlp --hidden 16 --epochs 1"


def test_a_self_training_without_groups_leaves_no_state(cli, tmp_path):
    assert cli(WEAK).code == 0
    done = cli("self-train glyphs_eval@12-27")
    assert done.code == 3
    assert "not sure of any two groups" in done.err
    assert [path.name for path in (tmp_path / "clusterkit-out").iterdir()] == ["g.safetensors"]


@pytest.mark.parametrize(
    "line",
    [
        "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 1",
        "pretrain synthetic:blobs --backbone mlp --epochs 1",
        "self-train synthetic:blobs --rounds 1",
        "cluster --k 10 --epochs 1 --backbone mlp",
        "adapt synthetic:blobs synthetic:blobs --steps 1 --backbone mlp",
    ],
)
def test_a_disk_that_is_too_small_for_a_training_is_found_before_it(line, points, cli, monkeypatch):
    before = {path.name: path.read_bytes() for path in points.iterdir()}
    small = shutil.disk_usage(".")._replace(free=70_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: small)
    done = cli(line)
    assert (done.code, done.out) == (3, "")
    assert "70 kB are free); free disk space" in done.err.splitlines()[-1]
    assert "epoch 1/" not in done.err
    assert {path.name: path.read_bytes() for path in points.iterdir()} == before


@pytest.mark.parametrize(
    ("apart", "epochs", "lines"), [(0, 1, 1), (0, 7, 7), (0, 10, 10), (0, 200, LINES + 1), (3600, 200, 2)]
)
def test_a_line_for_each_tenth_of_a_training(apart, epochs, lines, cli, monkeypatch):
    monkeypatch.setattr(training, "APART", apart)
    done = cli(f"train-g synthetic:moons --backbone mlp --hidden 2 --epochs {epochs}")
    rows = [row for row in done.err.splitlines() if "epoch" in row]
    assert len(rows) == lines
    assert f"epoch 1/{epochs}, loss " in rows[0]
    assert re.search(rf"epoch {epochs}/{epochs}, loss [\d.]+ \(\d+ s\)$", rows[-1])
    assert all(re.search(r"\(\d+ s, \d+ (s|min) left\)$", row) for row in rows[:-1])
    history = cli("inspect --history clusterkit-out/g.safetensors").out.splitlines()
    assert len(history) == 1 + epochs


def test_durations():
    assert [console.duration(seconds) for seconds in (0.2, 119, 120, 7199, 7200, 90_000)] == [
        "0 s", "119 s", "2 min", "120 min", "2 h", "25 h",
    ]  # fmt: skip


def test_sizes():
    assert [console.size(count) for count in (0, 1.48e6, 999.7e6, 2e9, 4.2e12)] == [
        "0 kB", "1.48 MB", "1 GB", "2 GB", "4.2 TB",
    ]  # fmt: skip


def test_one_bar_for_each_training_on_a_terminal(cli, monkeypatch):
    import rich.progress

    bars, steps = [], []

    class Bar(rich.progress.Progress):
        def add_task(self, title, **about):
            bars.append((title, about["total"], about["completed"]))
            assert any(isinstance(column, rich.progress.TimeRemainingColumn) for column in self.columns)
            return super().add_task(title, **about)

        def advance(self, task, advance=1):
            steps.append(advance)
            super().advance(task, advance)

    monkeypatch.setattr(rich.progress, "Progress", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert cli("train-g synthetic:blobs --backbone mlp --epochs 3").code == 0
    assert cli("cluster synthetic:blobs --pairs labels --k 5 --epochs 2 --rounds 2 --backbone mlp").code == 0
    [(title, total, done), *others] = bars
    assert (title, total, done) == ("train-g", 18, 0)
    assert [title for title, _, _ in others] == ["cluster all", "cluster all, round 2"]
    assert len(steps) == sum(total for _, total, _ in bars)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("photos", "folder:photos"),
        ("./photos", "folder:./photos"),
        ("x.npz", "arrays:x.npz"),
        ("folder:x.npz", "arrays:x.npz"),
        ("arrays:photos", "folder:photos"),
        ("glyphs", "glyphs_bg"),
    ],
)
def test_a_name_that_is_no_data_set(name, meant, cli, tmp_path):
    (tmp_path / "photos").mkdir()
    np.savez(tmp_path / "x.npz", x=np.ones((3, 2)))
    done = cli(f"train-g {name}")
    assert done.code == (3 if ":" in name else 2)
    assert f"(did you mean {meant}?)" in done.err.splitlines()[-1]


@pytest.mark.parametrize("line", ["cluster {}", "adapt {} {}", "adapt digits {}", "predict-pairs {}", "self-train {}"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("photos", "(did you mean folder:photos?)"),
        ("mnist_trian", "(did you mean mnist_train?)"),
        ("folder:photo", "no such file or folder"),
        ("arrays:photos", "(did you mean folder:photos?)"),
        ("features:\0", "no such file or folder"),
    ],
)
def test_a_wrong_name_comes_before_a_missing_network(line, name, words, cli, tmp_path):
    (tmp_path / "photos").mkdir()
    done = cli([word.format(name) for word in line.split()])
    assert (done.code, done.out) == (3 if ":" in name else 2, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "folder:notes.txt", "\0", "~nobody/photos"])
def test_a_name_of_which_nothing_is_known(name, cli, tmp_path):
    (tmp_path / "notes.txt").touch()
    done = cli(["train-g", name])
    assert done.code in (2, 3)
    assert "did you mean" not in done.err
    assert "unexpected" not in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, tmp_path):
    """Of the shell that the program runs in; completing must not import anything heavy."""
    code = (
        "import sys, shellingham; shellingham.detect_shell = lambda *_: (sys.argv[1], ''); "
        "from clusterkit.__main__ import main; code = main(sys.argv[2:]); "
        "print('heavy' if {'torch', 'numpy', 'h5py'} & set(sys.modules) else 'light'); sys.exit(code)"
    )
    for flag in ("--show-completion", "--install-completion"):
        done = subprocess.run(
            [sys.executable, "-c", code, shell, flag], capture_output=True, text=True, check=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip
        assert "heavy" not in done.stdout
        assert "Traceback" not in done.stderr
    assert list(tmp_path.rglob("*clusterkit*"))


def warnings_of(done) -> list[str]:
    """The warnings of a command's JSON, each of which stderr has too."""
    assert done.code == 0, done.err
    warnings = json.loads(done.out)["warnings"]
    assert all(f"clusterkit: {text}" in done.err.splitlines() for text in warnings)
    return warnings


def test_a_worthless_g_is_said_all_the_way(cli):
    [text] = warnings_of(cli(f"{WEAK.replace('glyphs_bg@0-11', 'glyphs_bg')} --json --quiet"))
    assert text.startswith("G is weak on classes that it has not seen")
    held_out, *warnings = warnings_of(cli("predict-pairs glyphs_eval@12-27,40-47 --json --quiet"))
    assert held_out == f"clusterkit-out/g.safetensors: {text}"
    assert [text.partition(":")[0] for text in warnings] == ["Morwen", "Nastric", "Ostrava"]
    assert all("similar partners per item" in text for text in warnings)
    warnings = warnings_of(cli("cluster --k 20 --epochs 1 --backbone mlp --json --quiet"))
    assert all("unsure" in text for text in warnings)
    assert warnings


def test_useful_pairs_and_a_sure_clustering_give_no_warning(points, cli):
    assert warnings_of(cli("predict-pairs synthetic:blobs --json")) == []
    assert warnings_of(cli("cluster --k 10 --epochs 30 --backbone mlp --json")) == []
    assert warnings_of(cli("estimate-k --json")) == []


def test_estimates_that_disagree(points, cli):
    for line in (
        "train-g synthetic:blobs --backbone mlp --hidden 32 --epochs 20",
        "predict-pairs synthetic:blobs",
        "cluster --k 5 --epochs 2 --backbone mlp",
    ):
        assert cli(line).code == 0
    done = cli("estimate-k --json --quiet")
    assert json.loads(done.out)["recommended"] == {"all": 1}
    [text] = warnings_of(done)
    assert "the estimators disagree (ndc 5, consensus 1), so do not rely on the recommended 1" in text
    done = cli("cluster --k auto --epochs 30 --backbone mlp --json")
    assert any("estimates only one cluster" in text and "--k N" in text for text in warnings_of(done))
    assert (
        "clusterkit-out/assignments.h5 of another run (clusterkit cluster --k 5 --epochs 2) will be replaced"
        in done.err
    )


def test_the_warnings_of_the_commands_that_ran_first(points, cli, monkeypatch):
    (points / "k.json").unlink()
    monkeypatch.setattr("clusterkit.metrics.doubts.of_k", lambda *_: ["doubts about K"])
    assert warnings_of(cli("cluster --k auto --epochs 20 --backbone mlp --json")) == ["doubts about K"]
    (points / "pairs.h5").unlink()
    monkeypatch.setattr("clusterkit.metrics.doubts.of_pairs", lambda *_, **__: ["doubts about the pairs"])
    done = cli("cluster synthetic:blobs --k 10 --epochs 20 --backbone mlp --json")
    assert warnings_of(done) == ["doubts about the pairs"]
    (points / "pairs.h5").unlink()
    done = cli("adapt synthetic:blobs synthetic:blobs --steps 1 --backbone mlp --json")
    assert warnings_of(done) == ["doubts about the pairs"]


def test_a_clustering_that_is_replaced(points, cli):
    line = "cluster --k 10 --epochs 30 --backbone mlp"
    done = cli(line)
    assert (
        "assignments.h5 of another run (clusterkit cluster --epochs 8) will be replaced; to keep it, copy" in done.err
    )
    assert "will be replaced" not in cli(line).err, "an equal run makes the same file"
    assert "--seed 0" in cli(f"{line} --seed 1").err
    done = cli(line.replace("30", "1"))
    assert "the clustering that was replaced was surer" in done.err
    done = cli("cluster --k 10 --method spectral")
    assert "(clusterkit cluster --method ccn)" in done.err
    assert "surer" not in done.err
    (points / "assignments.h5").write_bytes(b"no clustering")
    done = cli(line)
    assert done.code == 0
    assert "replaced" not in done.err
