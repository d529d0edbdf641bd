"""The study of all methods on the same pairs, on small sets."""

import json
import os
import re
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from clusterkit.cli.reproduce import baselines, measured
from clusterkit.config import Backbone, TrainGConfig
from clusterkit.errors import ClusterkitError
from clusterkit.methods import METHODS
from clusterkit.report import baselines as report
from clusterkit.report.published import OMNIGLOT_ACC, OMNIGLOT_CLASSES, OMNIGLOT_K, OMNIGLOT_MEAN
from clusterkit.stages import self_train

LETTERS = "glyphs_eval@12-27"
LINE = "reproduce baselines --set omniglot --method kmeans --method spectral --method ccn --k known --k 20"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        baselines, "G", TrainGConfig(dataset="glyphs_bg@0-11", backbone=Backbone.MLP, hidden=16, size=8, epochs=1)
    )
    monkeypatch.setattr(baselines, "SETS", {"omniglot": LETTERS, "mnist": "digits@0-4"})
    quick = {
        row: replace(config, options=replace(config.options, epochs=1)) for row, config in baselines.ROWS["ccn"].items()
    }
    monkeypatch.setitem(baselines.ROWS, "ccn", quick)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cluster in this process, which is quicker."""
    monkeypatch.setattr(measured, "apart", lambda work, *given: work(*given))


@pytest.mark.usefixtures("together")
def test_all_methods_cluster_the_same_pairs_and_what_is_done_is_kept(cli, tmp_path):
    done = cli(f"{LINE} --epochs 1 --seed 5 --json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    runs = result["sets"]["omniglot"]["runs"]
    assert [(run["method"], run["k"], run["seed"]) for run in runs] == [
        (row, k, 5) for row in ("kmeans", "spectral", "ccn-kcl", "ccn-ccl") for k in ("known", "20")
    ]
    assert all(run["seconds"] > 0 and run["peak_bytes"] > 2**20 and not run["finds_k"] for run in runs)
    assert done.err.count("$ clusterkit predict-pairs") == 1
    folder = tmp_path / "clusterkit-out" / "baselines"
    tables = (folder / "baselines.md").read_text()
    assert "| method | pairs in: metric | clustering | ACC | ACC (20) | NMI |" in tables
    assert "| k-means |  |  | 0." in tables
    assert "| CCN, KCL | o | o | 0." in tables
    assert "(0.824) |" in tables
    assert "as it was transferred" in tables
    assert tables.index("| CCN, CCL") < tables.index("| spectral |")
    assert json.loads((folder / "baselines.json").read_text()) == {
        name: result[name] for name in ("self-trained", "sets")
    }

    run = folder / "omniglot" / "kmeans-k20-seed5"
    (run / "cost.json").write_text("{}")
    (folder / "omniglot" / "ccn-kcl-k20-seed5" / "assignments.h5").unlink()
    again = cli(f"{LINE} --epochs 1 --seed 5 --json --resume")
    assert again.code == 0, again.err
    assert again.err.count("$ clusterkit cluster") == 2
    assert again.err.count("kept, an earlier run of this command made it") == 8
    kept = json.loads(again.out)["sets"]["omniglot"]["runs"]
    assert [one["mean"] for one in kept] == [one["mean"] for one in runs]
    assert [one["seconds"] for one in kept if one["method"] == "spectral"] == [
        one["seconds"] for one in runs if one["method"] == "spectral"
    ]


def test_a_sample_is_clustered_in_processes_of_their_own(cli, tmp_path, letters_made, monkeypatch):
    line = f"reproduce baselines --set mnist --images 60 --method kmeans --k known --g {letters_made}/g.safetensors"
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["sets"]["mnist"]
    folder = tmp_path / "clusterkit-out" / "baselines" / "mnist-60"
    with np.load(folder / "sample.npz") as file:
        assert (file["x"].dtype, file["x"].shape, file["y"].shape) == (np.uint8, (60, 28, 28), (60,))
    [run] = found["runs"]
    assert run["subsets"]["all"]["classes"] == 5
    assert 2**26 < run["peak_bytes"] < 2**34
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
    assert "after it went on learning on the unlabelled set" in done.out


def test_processes_that_end_without_an_answer():
    assert measured.apart(abs, -3) == 3
    with pytest.raises(ClusterkitError, match="ended with code 9"):
        measured.apart(os._exit, 9)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            measured.apart(time.sleep, 60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.perf_counter() - start < 30


def test_the_memory_of_a_process_is_its_own():
    held = bytearray(2**29)
    held[:: 2**12] = b"1" * (2**29 // 2**12)
    assert measured.apart(measured.peak_bytes) < 2**28
    assert measured.peak_bytes() > 2**29


def test_bad_words(cli, tmp_path, letters_made):
    whole = (letters_made / "g.safetensors").read_bytes()
    for name, content in (("empty", b""), ("short", whole[: len(whole) // 2]), ("other", b"not a G" * 99)):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    for line, code, word in (
        ("--method kmedoids", 2, "--method kmedoids: choose of ccn, kmeans"),
        ("--set letters", 2, "--set letters: choose of omniglot, mnist"),
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


def test_every_method_has_rows_and_every_row_a_name():
    assert list(baselines.ROWS) == [*METHODS, "spectral-pixels"]
    assert {row for rows in baselines.ROWS.values() for row in rows} == set(report.ROWS)


def run(method: str, k: str, acc: float, clusters: float = 5, seed: int = 0) -> report.Run:
    scores = {"acc": acc, "nmi": acc, "clusters": clusters, "classes": 20.0}
    subsets = {"Angelic": scores, "Tibetan": {**scores, "classes": 42.0}}
    finds_k = method in ("skms", "hdbscan")
    cost = {"seconds": 12.34, "peak_bytes": 3 * 2**29}
    return {"method": method, "k": k, "finds_k": finds_k, "seed": seed, "mean": scores, "subsets": subsets, **cost}


def test_tables():
    runs = [
        run("hdbscan", "100", 0.5, 18),
        run("ccn-kcl", "100", 0.7),
        run("ccn-kcl", "100", 0.8, seed=1),
        run("skms", "100", 0.25),
        run("kmeans", "known", 0.2),
    ]
    text = report.markdown({"self-trained": True, "sets": {"omniglot": {"images": None, "runs": runs}}})
    lines = text.splitlines()
    head = "ACC | ACC (100) | NMI | NMI (100) | seconds | seconds (100) | GiB | GiB (100) |"
    assert f"| method | pairs in: metric | clustering | {head}" in lines
    assert "| k-means |  |  | 0.200 (0.217) |  | 0.200 (0.353) |  | 12.3 |  | 1.50 |  |" in lines
    assert "| SKMS | o |  |  | 0.250 (0.455) |  | 0.250 (0.693) |  | 12.3 |  | 1.50 |" in lines
    [ccn] = [line for line in lines if line.startswith("| CCN, KCL")]
    assert "| o | o |  | 0.750 ± 0.071 (0.781) |" in ccn
    assert "| alphabet | SKMS | CCN, KCL | HDBSCAN |" in lines
    assert "| Tibetan | 25 (31) | 75 ± 7 (84) | 50 |" in lines
    assert "| average | 25 (46) | 75 ± 7 (78) | 50 |" in lines
    assert "| Angelic | 20 | 5 (16) | 18 |" in lines
    assert "| ADif |  | 26.00 (16.30) | 13.00 |" in lines

    digits = [run("kmeans", "known", 0.2), run("spectral-pixels", "30", 0.3)]
    text = report.markdown({"self-trained": False, "sets": {"mnist": {"images": 60, "runs": digits}}})
    assert "## 60 random images" in text
    assert "| k-means |  |  | 0.200 |  | 0.200 (0.528) |" in text
    assert "ADif" not in text
    assert "by alphabet" not in text


def test_published_figures_agree_with_each_other():
    for method, by_alphabet in OMNIGLOT_ACC.items():
        assert by_alphabet.keys() == OMNIGLOT_CLASSES.keys()
        # Both are rounded.
        assert np.mean(list(by_alphabet.values())) == pytest.approx(OMNIGLOT_MEAN[method, "100"]["acc"], abs=0.0015)
    for method, found in OMNIGLOT_K.items():
        adif = np.mean([abs(found[name] - classes) for name, classes in OMNIGLOT_CLASSES.items()])
        assert adif == pytest.approx(OMNIGLOT_MEAN[method, "100"]["adif"])
