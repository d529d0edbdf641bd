"""The study of all methods on the same pairs, on small sets."""

import json
import os
import re
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from clusterkit.config import Backbone, Kind, TrainGConfig
from clusterkit.errors import ClusterkitError
from clusterkit.features.choice import with_training
from clusterkit.methods import METHODS
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.settings import CountedBy
from clusterkit.stages import self_train
from clusterkit.studies import baselines
from clusterkit.studies.common import measured
from clusterkit.studies.common.driver import Outcome
from clusterkit.studies.common.published import fill
from clusterkit.studies.common.tables import markdown, where
from tests.study_files import check_files

LETTERS = "glyphs_eval@12-27"
LINE = "reproduce baselines --set omniglot --method kmeans --method spectral --method ccn --k known --k 20"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        baselines,
        "G",
        with_training(
            TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, size=8, epochs=1), Kind.CHARACTERS
        ),
    )
    monkeypatch.setitem(baselines.SETS, "omniglot", LETTERS)
    monkeypatch.setitem(baselines.SETS, "mnist", "digits@0-4")
    for row in ("ccn-kcl", "ccn-ccl"):
        config = baselines.ROWS[row]
        monkeypatch.setitem(baselines.ROWS, row, replace(config, options=replace(config.options, epochs=1)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cluster in this process, which is quicker."""
    monkeypatch.setattr(measured, "in_new_process", lambda work, *arguments: work(*arguments))


@pytest.mark.usefixtures("together")
def test_all_methods_cluster_the_same_pairs_and_what_is_done_is_kept(cli, tmp_path):
    done = cli(f"{LINE} --epochs 1 --seed 5 --json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    options = baselines.BaselinesOptions(
        sets=("omniglot",), method=("kmeans", "spectral", "ccn"), k=(CountedBy.LABELS, 20), epochs=1
    )
    rows = check_files("baselines", options)
    runs = where(rows, subset="mean", metric="acc")
    assert [(run.method, run.loss, run.k, run.seed) for run in runs] == [
        (*method, k, 5)
        for method in (("kmeans", ""), ("spectral", ""), ("ccn", "kcl"), ("ccn", "ccl"))
        for k in ("known", "20")
    ]
    assert all(run.seconds > 0 and run.bytes > 2**20 for run in where(rows, subset="mean"))
    assert not any(run.seconds or run.bytes for run in rows if run.subset != "mean")
    assert not where(rows, metric="adif_clusters")
    assert done.err.count("$ clusterkit predict-pairs") == 1
    folder = tmp_path / "clusterkit-out" / "baselines"
    tables = (folder / "baselines.md").read_text()
    assert "| method | pairs shape the metric | pairs shape the clusters | ACC | ACC (20) | NMI |" in tables
    assert "| k-means |  |  | 0." in tables
    assert "| CCN, KCL | o | o | 0." in tables
    assert "(0.824) |" in tables
    assert "of G as transferred." in tables
    assert tables.index("| CCN, CCL") < tables.index("| spectral |")
    assert {"artifact": result["artifact"], **json.loads((folder / "baselines.json").read_text())} == result

    run = folder / "omniglot" / "kmeans-k20-seed5"
    (run / "cost.json").write_text("{}")
    (folder / "omniglot" / "ccn-kcl-k20-seed5" / "assignments.h5").unlink()
    again = cli(f"{LINE} --epochs 1 --seed 5 --json --resume")
    assert again.code == 0, again.err
    assert again.err.count("$ clusterkit cluster") == 2
    assert again.err.count("kept, because an earlier run of this command made it") == 8
    kept = check_files("baselines", options)
    assert [replace(one, seconds=None, bytes=None) for one in kept] == [
        replace(one, seconds=None, bytes=None) for one in rows
    ]
    assert where(kept, method="spectral") == where(rows, method="spectral")


def test_a_sample_is_clustered_in_processes_of_their_own(cli, tmp_path, letters_made, monkeypatch):
    line = f"reproduce baselines --set mnist --images 60 --method kmeans --k known --g {letters_made}/g.safetensors"
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    options = baselines.BaselinesOptions(sets=("mnist",), images=60, method=("kmeans",), k=(CountedBy.LABELS,))
    rows = where(check_files("baselines", options), set="mnist")
    folder = tmp_path / "clusterkit-out" / "baselines" / "mnist-60"
    with np.load(folder / "sample.npz") as file:
        assert (file["x"].dtype, file["x"].shape, file["y"].shape) == (np.uint8, (60, 28, 28), (60,))
    assert [row.value for row in where(rows, subset="all", metric="classes")] == [5]
    assert {2**26 < row.bytes < 2**34 for row in where(rows, subset="mean")} == {True}
    assert "cluster all: 60 items in 5 clusters" in done.err
    assert cli(f"{line} --json --resume").out == done.out

    # A set that is gone when it is clustered: what the process fails with, this one does.
    monkeypatch.setattr(baselines, "sample", lambda *_: "arrays:gone.npz")
    monkeypatch.setattr(baselines, "pairs_of", lambda *_: tmp_path / "pairs.h5")
    done = cli(line)
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines()[-1].startswith("clusterkit: error: gone.npz")


@pytest.mark.usefixtures("together")
def test_pairs_after_self_training(cli, letters_made, monkeypatch):
    monkeypatch.setattr(baselines, "SELF_TRAINING", 1)
    # So little trained a G is sure of no two groups.
    monkeypatch.setattr(self_train, "cut", lambda tree, level: np.arange(len(tree) + 1) // 5)
    line = f"--set omniglot --method spectral --k known --seeds 2 --self-train --g {letters_made}/g.safetensors"
    done = cli(f"reproduce baselines {line}")
    assert done.code == 0, done.err
    assert "$ clusterkit predict-pairs glyphs_eval@12-27 --g self-trained.safetensors" in done.err
    assert re.search(r"\| spectral \|  \| o \| 0\.\d+ ± ", done.out)
    assert "after self-train on the unlabelled set" in done.out


def test_processes_that_end_without_an_answer():
    assert measured.in_new_process(abs, -3) == 3
    with pytest.raises(ClusterkitError, match="ended with code 9"):
        measured.in_new_process(os._exit, 9)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            measured.in_new_process(time.sleep, 60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 30


def test_the_memory_of_a_process_is_its_own():
    held = bytearray(2**29)
    held[:: 2**12] = b"1" * (2**29 // 2**12)
    assert measured.in_new_process(measured.peak_bytes) < 2**28
    assert measured.peak_bytes() > 2**29


def test_bad_words(cli, tmp_path, letters_made):
    whole = (letters_made / "g.safetensors").read_bytes()
    for name, content in (("empty", b""), ("short", whole[: len(whole) // 2]), ("other", b"not a G" * 99)):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    for line, code, word in (
        ("--method kmedoids", 2, "--method kmedoids: choose one of ccn, kmeans"),
        ("--set letters", 2, "--set letters: choose one of omniglot, mnist"),
        ("--k 1 --method kmeans", 2, "--k 1"),
        ("--k auto --method kmeans", 2, "--k auto"),
        ("--seeds 0", 2, "--seeds"),
        ("--set mnist --images 50 --epochs 1 --method kmeans", 2, "--images 50: fewer than the clusters of --k 100"),
        ("--method kmeans --g nowhere.safetensors", 3, "nowhere.safetensors: no such file"),
        ("--method kmeans --g empty.safetensors", 3, "empty.safetensors"),
        ("--method kmeans --g short.safetensors", 3, "short.safetensors"),
        ("--method kmeans --g other.safetensors", 3, "other.safetensors"),
        (f"--method kmeans --g {letters_made}/ccn.safetensors", 3, "ccn.safetensors"),
    ):
        done = cli(f"reproduce baselines {line}")
        assert (done.code, done.out) == (code, ""), line
        assert word in done.err.splitlines()[-1]
    assert not (tmp_path / "clusterkit-out").exists()


def test_every_method_has_rows():
    rows = [row for name in baselines.NAMES for row in baselines.row_names(name)]
    assert rows == list(baselines.ROWS)
    assert {config.method for config in baselines.ROWS.values()} == {
        name for name, method in METHODS.items() if not method.joint
    }


def run(method: str, k: str, acc: float, clusters: float = 5, seed: int = 0, *, name: str = "omniglot") -> list[Row]:
    """Return the rows of one clustering; "ccn-kcl" is CCN by KCL."""
    method, _, loss = (method, "", "") if method == baselines.PIXELS else method.partition("-")
    fields = {"set": name, "method": method, "loss": loss, "k": k, "seed": seed}
    scores = {"acc": acc, "nmi": acc, "clusters": clusters, "classes": 20.0}
    subsets = {"Angelic": scores, "Tibetan": {**scores, "classes": 42.0}}
    rows = [row for subset, found in subsets.items() for row in rows_of(found, subset=subset, **fields)]
    cost = {"seconds": 12.34, "bytes": 3 * 2**29}
    rows += rows_of(scores, subset="mean", **fields, **cost)
    return [*rows, *([replace(baselines.adif(rows), **cost)] if method in ("skms", "hdbscan") else [])]


def tables(options: baselines.BaselinesOptions, *runs: list[Row]) -> str:
    rows = fill([row for rows in runs for row in rows], baselines.STUDY.papers)
    return markdown(baselines.document(options, Outcome(rows)))


def test_tables():
    text = tables(
        baselines.BaselinesOptions(self_train=True),
        run("hdbscan", "100", 0.5, 18),
        run("ccn-kcl", "100", 0.7),
        run("ccn-kcl", "100", 0.8, seed=1),
        run("skms", "100", 0.25),
        run("kmeans", "known", 0.2),
    )
    lines = text.splitlines()
    head = "ACC | ACC (100) | NMI | NMI (100) | seconds | seconds (100) | GiB | GiB (100) |"
    assert f"| method | pairs shape the metric | pairs shape the clusters | {head}" in lines
    assert "| k-means |  |  | 0.200 (0.217) |  | 0.200 (0.353) |  | 12.3 |  | 1.50 |  |" in lines
    assert "| SKMS | o |  |  | 0.250 (0.455) |  | 0.250 (0.693) |  | 12.3 |  | 1.50 |" in lines
    [ccn] = [line for line in lines if line.startswith("| CCN, KCL")]
    assert "| o | o |  | 0.750 ± 0.071 (0.781) |" in ccn
    assert "| alphabet | SKMS | CCN, KCL | HDBSCAN |" in lines
    assert "| Tibetan | 25 (31) | 75 ± 7 (84) | 50 |" in lines
    assert "| average | 25 (46) | 75 ± 7 (78) | 50 |" in lines
    assert "| Angelic | 20 | 5 (16) | 18 |" in lines
    assert "| ADif |  | 26.00 (16.30) | 13.00 |" in lines

    digits = run("kmeans", "known", 0.2, name="mnist"), run("spectral-pixels", "30", 0.3, name="mnist")
    text = tables(baselines.BaselinesOptions(images=60), *digits)
    assert "## 60 random images" in text
    assert "| k-means |  |  | 0.200 |  | 0.200 (0.528) |" in text
    assert "ADif" not in text
    assert "by alphabet" not in text
