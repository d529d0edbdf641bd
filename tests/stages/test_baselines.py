"""The clustering methods beside ccn, through the command line, and on pairs and items that leave them little."""

import json
import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.config import Backbone, ClusterConfig, Kind, Method
from clusterkit.datasets.base import Subset
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS
from clusterkit.methods.common.cost import check_cost
from clusterkit.methods.common.items import values
from clusterkit.methods.common.problem import Clustering, Problem
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, BackboneNet
from clusterkit.pairs.dense import DensePairs
from tests.cli.test_bad_input import fails, state_of
from tests.conftest import LETTERS, Cli
from tests.groups import plain_groups, two_groupings

OUT = Path("clusterkit-out")
WITHOUT_PAIRS = (Method.KMEANS, Method.LPNMF, Method.LSC)
ON_PAIRS = tuple(method for method in Method if method not in (*WITHOUT_PAIRS, Method.CCN))
WITH_FEATURES = tuple(method for method in Method if method is not Method.CCN and not method.on_pairs_alone)
CCN = "--backbone mlp --epochs 2"


def arrays(labels: np.ndarray) -> str:
    """Write items whose classes only pairs tell; return the data set's name."""
    np.savez("points.npz", x=two_groupings(labels).astype(np.float32), y=labels)
    return "arrays:points.npz"


def line_of(method: Method, data: str, pairs: str = "simulated:0.95,0.95") -> str:
    """Return a command that clusters four groups by a method, and by pairs where it consumes them."""
    line = f"cluster {data} --method {method}"
    line += "" if method in WITHOUT_PAIRS else f" --pairs {pairs}"
    line += "" if method.finds_k else " --k 4"
    return f"{line} {CCN}" if method is Method.CCN else line


def found(folder: Path = OUT, subset: str = "all") -> np.ndarray:
    return read_assignments(folder / "assignments.h5")[1][subset].cluster


# Through the command line


@pytest.mark.parametrize("method", Method)
def test_every_method_writes_assignments_twice_the_same(method: Method, cli: Cli) -> None:
    labels = np.arange(80) % 4
    line = line_of(method, arrays(labels))
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    header, groups = read_assignments(OUT / "assignments.h5")
    made = groups["all"]
    assert made.id.tolist() == list(range(80))
    assert made.prob.shape == (80, max(1, made.cluster.max() + 1) if method.finds_k else 4)
    inside = made.cluster >= 0
    np.testing.assert_allclose(made.prob[inside].sum(1), 1, atol=1e-5)
    assert not made.prob[~inside].any()
    assert (made.prob.argmax(1) == made.cluster)[inside].all()
    assert inside.all() or method is Method.HDBSCAN
    assert header.extra["uses_target_labels"] == ("no" if method in WITHOUT_PAIRS else "pairs with simulated errors")
    assert header.config["method"] == method
    fields = json.loads(done.out)
    assert fields["clusters"] == {"all": len(np.unique(made.cluster[inside]))}
    assert (fields["network"] is None) == (method is not Method.CCN)
    if method is not Method.CCN:
        assert accuracy(made.cluster, plain_groups(labels) if method in WITHOUT_PAIRS else labels) > 0.9
    first = (OUT / "assignments.h5").read_bytes()
    assert cli(line).code == 0
    assert (OUT / "assignments.h5").read_bytes() == first
    assert sorted(path.name for path in OUT.iterdir()) == [
        "assignments.h5", *(["ccn.safetensors"] if method is Method.CCN else [])
    ]  # fmt: skip


@pytest.mark.parametrize("method", ON_PAIRS)
def test_a_fifth_of_the_pairs_wrong(method: Method, cli: Cli) -> None:
    done = cli(line_of(method, arrays(np.arange(80) % 4), "simulated:0.8,0.8"))
    assert done.code == 0, done.err
    assert cli("evaluate --fail-under acc=0.8").code == 0


def test_labels_as_pairs_and_the_oracle_are_said(cli: Cli) -> None:
    data = arrays(np.arange(40) % 4)
    for line, used in (
        (f"{data} --method csp --pairs labels --k 4", "pairs"),
        (f"{data} --method csp --pairs labels --k known", "pairs"),
        (f"{data} --method lsc --k known", "number of classes"),
        (f"{data} --method spectral --features pixels --k 4", "no"),
        (f"{data} --method spectral --features pixels --k known", "number of classes"),
    ):
        assert cli(f"cluster {line}").code == 0
        header, groups = read_assignments(OUT / "assignments.h5")
        assert header.extra["uses_target_labels"] == used
        assert len(np.unique(groups["all"].cluster)) == 4


def test_fewer_clusters_than_classes_by_certain_pairs(cli: Cli) -> None:
    data = arrays(np.arange(60) % 4)
    for k in (2, 3, 5, 59):
        assert cli(f"cluster {data} --method agglomerative --pairs labels --k {k}").code == 0
        assert len(np.unique(found())) == k


@pytest.mark.parametrize("method", ON_PAIRS)
def test_constraints_reach_the_method(method: Method, cli: Cli) -> None:
    labels = np.arange(40) % 4
    merged = np.where(labels == 2, 1, labels)
    data = arrays(labels)
    ones, twos = (np.flatnonzero(labels == number) for number in (1, 2))
    Path("links.csv").write_text("\n".join(f"{a},{b},must" for a in ones for b in twos))
    line = line_of(method, data, "labels").replace("--k 4", "--k 3")
    assert cli(line).code == 0
    assert accuracy(found(), merged) < 0.9
    assert cli(f"{line} --constraints links.csv").code == 0
    header, _ = read_assignments(OUT / "assignments.h5")
    assert header.inputs["constraints"] == sha256(Path("links.csv"))
    # Mean shift has one number of neighbours for groups of any size.
    assert accuracy(found(), merged) >= (0.9 if method is Method.SKMS else 1)


@pytest.mark.parametrize("method", [Method.SKMS, Method.HDBSCAN])
def test_what_finds_k_is_evaluated_and_counted(method: Method, points: Path, cli: Cli) -> None:
    assert cli(f"cluster --method {method}").code == 0
    done = cli("evaluate")
    assert done.code == 0
    assert "acc\t1.0000\n" in done.out
    done = cli("estimate-k")
    assert (done.code, done.out) == (0, "5\n")
    assert "larger --k" not in done.err, "there is none to give"


def test_small_groups_count_beside_what_finds_k(points: Path, cli: Cli) -> None:
    labels = np.repeat(np.arange(4), [200, 30, 20, 10])
    x = 10 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[labels] + np.random.default_rng(0).normal(0, 0.3, (260, 2))
    np.savez("uneven.npz", x=x.astype(np.float32), y=labels)
    assert cli("predict-pairs arrays:uneven.npz").code == 0
    assert cli("cluster --method hdbscan").code == 0
    assert len(np.unique(found())) == 4
    assert json.loads(cli("estimate-k --json").out)["estimates"]["all"]["ndc"] == 4
    assert "ndc\t4.0000\n" in cli("evaluate").out


def test_items_in_no_cluster_are_none_everywhere(cli: Cli) -> None:
    labels = np.r_[np.arange(40) % 4, 4, 5, 6]
    np.savez("a.npz", x=np.zeros((43, 2), np.float32), y=labels)
    Path("far.csv").write_text("40,41,cannot\n")
    done = cli("cluster arrays:a.npz --method hdbscan --pairs labels --constraints far.csv --json")
    assert json.loads(done.out)["clusters"] == {"all": 4}
    assert "3 of 43 items are in no cluster" in done.err
    assert "43 items in 4 clusters" in done.err
    made = read_assignments(OUT / "assignments.h5")[1]["all"]
    assert made.prob.shape == (43, 4)
    assert (made.cluster[40:] == -1).all()
    assert not made.prob[40:].any()
    done = cli("evaluate")
    assert "acc\t0.9302\n" in done.out, "40 of 43"
    assert "clusters\t4.0000\n" in done.out
    assert "all: 3 items are in no cluster" in done.err
    lines = [f"{a},{b},cannot" for a in range(40) for b in range(a)]
    Path("far.csv").write_text("\n".join(lines))
    done = cli("cluster arrays:a.npz --method hdbscan --pairs labels --constraints far.csv --json")
    assert json.loads(done.out)["clusters"] == {"all": 0}
    done = cli("evaluate")
    assert done.code == 0
    assert "degenerate" not in done.err
    assert "all: 43 items are in no cluster" in done.err


def test_several_subsets(letters: Path, cli: Cli) -> None:
    for method in ("itml", "hdbscan", "lsc"):
        line = f"cluster {LETTERS} --method {method}"
        assert cli(line if method == "hdbscan" else f"{line} --k 6").code == 0
        _, groups = read_assignments(letters / "assignments.h5")
        assert len(groups) == 3


# Features


def test_each_kind_of_features(letters: Path, cli: Cli) -> None:
    seen = {}
    for features in ("", "pixels", "g", "ccn", "g.safetensors"):
        # With its pairs beside it, and none that are consumed.
        line = f"cluster {LETTERS} --method kmeans --k 6"
        done = cli(f"{line} --features {features}" if features else line)
        assert done.code == 0, done.err
        header, groups = read_assignments(letters / "assignments.h5")
        seen[features] = np.concatenate([group.cluster for group in groups.values()])
        name = {"g": "g", "ccn": "features", "g.safetensors": "features"}.get(features)
        file = {"g": "g.safetensors", "ccn": "ccn.safetensors"}.get(features, features)
        assert header.inputs == ({} if name is None else {name: sha256(letters / file)})
        assert header.config["features"] == (features or None)
    assert (seen[""] == seen["pixels"]).all()
    for one, other in (("pixels", "g"), ("pixels", "ccn"), ("g", "ccn"), ("pixels", "g.safetensors")):
        assert (seen[one] != seen[other]).any()


@pytest.mark.parametrize("features", ["g", "ccn"])
@pytest.mark.parametrize("method", WITH_FEATURES)
def test_features_with_every_method(method: Method, features: str, letters: Path, cli: Cli) -> None:
    line = f"cluster --method {method} --features {features}"
    done = cli(line if method.finds_k else f"{line} --k 6")
    assert done.code == 0, done.err
    header, groups = read_assignments(letters / "assignments.h5")
    assert header.dataset["name"] == LETTERS
    assert header.inputs["g" if features == "g" else "features"] == sha256(
        letters / ("g.safetensors" if features == "g" else "ccn.safetensors")
    )
    for group in groups.values():
        assert group.cluster.min() == 0


def test_features_of_g_without_pairs(letters: Path, cli: Cli) -> None:
    (letters / "pairs.h5").unlink()
    line = f"cluster {LETTERS} --k 6 --features g --method"
    assert cli(f"{line} lsc").code == 0
    assert read_assignments(letters / "assignments.h5")[0].inputs == {"g": sha256(letters / "g.safetensors")}
    assert cli(f"{line} itml --pairs labels").code == 0
    assert cli(f"{line} spectral").code == 0
    assert not (letters / "pairs.h5").exists()
    assert cli(f"{line} itml").code == 0
    assert (letters / "pairs.h5").exists()


def test_features_of_a_pretrained_network(cli: Cli) -> None:
    assert cli("pretrain digits@0-2 --backbone mlp --epochs 1").code == 0
    for method in ("kmeans", "mpckmeans --pairs labels --max-pairs 10000"):
        assert cli(f"cluster digits@3-4 --k 2 --features pretrained.safetensors --method {method}").code == 0
        header, _ = read_assignments(OUT / "assignments.h5")
        assert header.inputs == {"features": sha256(OUT / "pretrained.safetensors")}


FEATURES = {"g": "g.safetensors", "ccn": "ccn.safetensors", "start.safetensors": "start.safetensors"}
NEXT = {"g": "clusterkit train-g DATASET", "ccn": "clusterkit cluster", "start.safetensors": "clusterkit pretrain"}


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "folder", "foreign"])
@pytest.mark.parametrize("features", FEATURES)
def test_features_that_cannot_be_read(features: str, kind: str, letters: Path, cli: Cli) -> None:
    shutil.copy(letters / "g.safetensors", letters / "start.safetensors")
    path = letters / FEATURES[features]
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "truncated": content[:-100], "foreign": bytes(300)}[kind])
    before = state_of(letters)
    said = {"missing": f"make it with: {NEXT[features]}", "empty": "empty", "truncated": "damaged"}
    word = {**said, "folder": "Is a directory", "foreign": "not a clusterkit"}[kind]
    for method in ("kmeans", "skkm --pairs labels"):
        done = cli(f"cluster {LETTERS} --k 6 --features {features} --method {method}")
        fails(done, 3, f"clusterkit-out/{path.name}: ", word)
    assert state_of(letters) == before


def test_features_that_belong_to_others(letters: Path, cli: Cli) -> None:
    before = state_of(letters)
    line = "cluster glyphs_bg@0-3 --k 3 --method kmeans --features"
    fails(cli(f"{line} ccn"), 3, "ccn.safetensors: is of", LETTERS, "run: clusterkit cluster glyphs_bg@0-3")
    fails(cli("cluster synthetic:blobs --k 3 --method kmeans --features g"), 3, "synthetic:blobs", "shape")
    fails(cli(f"{line} ccn.safetensors"), 3, "ccn.safetensors: holds ccn")
    fails(cli(f"{line} pairs.h5"), 3, "pairs.h5: not a clusterkit")
    assert state_of(letters) == before
    # The G beside the pairs is another one than predicted them.
    content = (letters / "g.safetensors").read_bytes()
    (letters / "g.safetensors").unlink()
    fails(cli("cluster --k 6 --method itml --features g"), 3, "pairs.h5: the g.safetensors that predicted it", "--feat")
    assert cli("train-g glyphs_bg@0-11 --size 8 --backbone mlp --hidden 16 --epochs 1 --seed 1").code == 0
    fails(cli("cluster --k 6 --method itml --features g"), 3, "pairs.h5: was made from another g.safetensors")
    (letters / "g.safetensors").write_bytes(content)
    assert cli("cluster --k 6 --method itml --features g").code == 0


def test_features_of_a_clustering_of_one_subset_only(letters: Path, cli: Cli) -> None:
    assert cli(f"cluster glyphs_eval/Morwen@12-27,40-47 --pairs labels --k 5 {CCN}").code == 0
    line = f"cluster {LETTERS} --k 5 --method kmeans --features ccn"
    fails(cli(line), 3, "ccn.safetensors: has no network of Nastric", f"run: clusterkit cluster {LETTERS}")


def test_words_of_the_one_flag_are_files_to_the_other(cli: Cli) -> None:
    fails(cli("cluster digits --k 5 --method kmeans --features random"), 3, "random: no such file")
    for word in ("pixels", "ccn"):
        fails(cli(f"cluster digits --k 5 --pairs labels --init {word}"), 3, f"{word}: no such file")
    assert not OUT.exists()


# What is refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--k 4 --features pixels", ("--features", "--method ccn", "--init FILE")),
        *((f"--features {what} --method agglomerative --k 4", ("--features", "agglomerative")) for what in "gx"),
        ("--features pixels --method hdbscan", ("--features", "hdbscan")),
        *(
            (f"--max-pairs 100 --method {method}", ("--max-pairs", method))
            for method in Method
            if method not in (Method.ITML, Method.MPCKMEANS)
        ),
        ("--max-pairs 3 --method itml", ("--max-pairs",)),
        *(
            (f"--k {k} --method {method}", (f"--k {k}", method, "leave it out"))
            for k in ("4", "known", "auto")
            for method in ("skms", "hdbscan")
        ),
        *(
            (f"--k {k} --method {method} {'' if method in WITHOUT_PAIRS else '--pairs labels'}", (f"--k {k}", "20"))
            for method in Method
            if not method.finds_k and method is not Method.CCN
            for k in (20, 21)
        ),
        ("--k 21 --pairs labels", ("--k 21", "20")),
        *((f"--k 4 --method {method} --pairs labels", ("--pairs", method)) for method in WITHOUT_PAIRS),
        *((f"--k 4 --method {method} --pairs x.h5", ("--pairs", method)) for method in WITHOUT_PAIRS),
        *((f"--k 4 --method {method} --constraints x.csv", ("--constraints", method)) for method in WITHOUT_PAIRS),
        ("--k 4 --method spectral --features g --pairs labels", ("--pairs", "spectral --features g")),
        ("--k 4 --method spectral --features pixels --constraints x", ("--constraints", "spectral --features pixels")),
        *(
            (f"--method {method} --pairs simulated:1,1,0.5 {'' if method == 'hdbscan' else '--k 4'}", ("density 1",))
            for method in ("spectral", "agglomerative", "hdbscan")
        ),
        *((f"--k 4 --method {method} --resume", ("--resume", method)) for method in ("csp", "lsc", "sklr")),
        *((f"--k 4 --method {method} --loss kcl", ("--loss", method)) for method in ("itml", "lpnmf", "skkm")),
        ("--k 1 --method csp", ("--k 1",)),
        ("--k auto --method csp --pairs labels", ("--k auto", "--pairs labels")),
    ],
)
def test_what_a_method_would_not_use_is_refused(line: str, words: tuple[str, ...], cli: Cli) -> None:
    fails(cli(f"cluster {arrays(np.arange(20) % 4)} {line}"), 2, *words)
    assert not OUT.exists()


def test_few_items(cli: Cli) -> None:
    for labels in (np.array([0, 1, 0]), np.array([0, 1, 0, 1])):
        data = arrays(labels)
        for method in Method:
            if method in (Method.CCN, Method.HDBSCAN):
                continue
            done = cli(line_of(method, data, "labels").replace("--k 4", "--k 2"))
            assert done.code == 0, done.err
            # Mean shift has no neighbour within whose distance another item is.
            assert len(np.unique(found())) == (len(labels) if method is Method.SKMS else 2)
            if method in ON_PAIRS and method is not Method.SKMS and len(labels) == 4:
                assert accuracy(found(), labels) == 1


@pytest.mark.parametrize(("method", "least"), [(Method.HDBSCAN, 5), (Method.SKMS, 2)])
def test_too_few_items_are_refused_before_any_subset_is_clustered(
    method: Method, least: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(problem: Problem) -> Clustering:
        raise AssertionError

    monkeypatch.setitem(METHODS, method, reached)
    data = arrays(np.arange(least - 1) % 2)
    fails(cli(f"cluster {data} --method {method} --pairs labels"), 2, str(method), f"fewer than {least}")
    assert not OUT.exists()


# A sample of the pairs


@pytest.mark.parametrize("method", [Method.ITML, Method.MPCKMEANS])
def test_pairs_among_a_sample_of_the_items(method: Method, cli: Cli) -> None:
    labels = np.arange(80) % 4
    line = line_of(method, arrays(labels), "simulated:0.9,0.9")
    seen = {}
    for most in (None, 6400, 10**12, 900, 4):
        given = line if most is None else f"{line} --max-pairs {most}"
        assert cli(given).code == 0
        seen[most] = found().tolist()
        assert read_assignments(OUT / "assignments.h5")[0].config["max_pairs"] == most
        first = (OUT / "assignments.h5").read_bytes()
        assert cli(given).code == 0
        assert (OUT / "assignments.h5").read_bytes() == first
    assert seen[6400] == seen[10**12] == seen[None]
    for most, clusters in seen.items():
        # Two items' pair does not tell the classes; by the values they are the plain groups.
        assert accuracy(np.array(clusters), labels) > 0.9 if most != 4 else accuracy(np.array(clusters), labels) < 0.5


# What it costs


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.CCN])
def test_too_little_memory_is_said_before(method: Method, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    data = arrays(np.arange(40) % 4)
    monkeypatch.setattr("clusterkit.methods.common.cost.memory", lambda: 5000)
    done = cli(line_of(method, data))
    fails(done, 2, f"--method {method}", "40 images of", "need about", "this machine (or its container) has 5000")
    assert ("--max-pairs" in done.err) == method.samples_pairs
    assert not OUT.exists()
    monkeypatch.setattr("clusterkit.methods.common.cost.memory", lambda: None)
    assert cli(line_of(method, data)).code == 0


def test_fewer_pairs_need_less_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    data = arrays(np.arange(40) % 4)
    monkeypatch.setattr("clusterkit.methods.common.cost.memory", lambda: 50_000)
    for method in (Method.ITML, Method.MPCKMEANS):
        assert cli(line_of(method, data)).code == 2
        assert cli(f"{line_of(method, data)} --max-pairs 100").code == 0


def test_ccn_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterkit.methods.common.cost.memory", lambda: 10**9)
    check_cost(ClusterConfig(), "all", 10_000_000, 150_528, 100)
    with pytest.raises(UsageError, match=r"60000 images of all need about \d{11,} bytes"):
        check_cost(ClusterConfig(method=Method.SPECTRAL), "all", 60_000, 784, 100)


@pytest.mark.parametrize("method", Method)
def test_hours_are_said(method: Method, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterkit.methods.common.cost.memory", lambda: None)
    monkeypatch.setattr(logging.getLogger("clusterkit"), "propagate", True)
    config = ClusterConfig(method=method)
    check_cost(config, "all", 1000, 784, 10)
    assert not caplog.messages
    check_cost(config, "all", 10_000_000, 3072, 1000)
    if method is Method.CCN:
        assert not caplog.messages
    else:
        assert f"--method {method}: the 10000000 images of all take about" in caplog.text
        assert "hours" in caplog.text


# Pairs and items that leave a method little

COUNT = 48
LABELS = np.arange(COUNT) % 3
TRUE = np.where(LABELS[:, None] == LABELS, 16.0, -16.0)


def coins(share: float, seed: int = 0) -> np.ndarray:
    """Return symmetric random truth values (N, N)."""
    upper = np.triu(np.random.default_rng(seed).random((COUNT, COUNT)) < share, 1)
    return upper | upper.T


def alone(pairs: np.ndarray, item: int = 0) -> np.ndarray:
    pairs = pairs.copy()
    pairs[item], pairs[:, item] = -16, -16
    return pairs


halves = np.arange(COUNT) < COUNT // 2
PAIRS = {
    "a fifth wrong": np.where(coins(0.2), -TRUE, TRUE),
    "random": np.where(coins(0.5), 16.0, -16.0),
    "all similar": np.full((COUNT, COUNT), 16.0),
    "all dissimilar": np.full((COUNT, COUNT), -16.0),
    "undecided": np.zeros((COUNT, COUNT)),
    "unsymmetric": np.random.default_rng(0).standard_normal((COUNT, COUNT)),
    "each against its other order": np.triu(TRUE, 1) - np.tril(TRUE, -1),
    "half unknown": np.where(coins(0.5), np.nan, TRUE),
    "all unknown": np.full((COUNT, COUNT), np.nan),
    "similar ones only": np.where(TRUE > 0, TRUE, np.nan),
    "dissimilar ones only": np.where(TRUE < 0, TRUE, np.nan),
    "one item alone": alone(TRUE),
    "one item alone, the others alike": alone(np.full((COUNT, COUNT), 16.0)),
    "in two parts": np.where(halves[:, None] == halves, 16.0, -1e4),
    "beyond all bounds": TRUE * np.inf,
}
TOLD = (
    "a fifth wrong",
    "half unknown",
    "similar ones only",
    "dissimilar ones only",
    "one item alone",
    "beyond all bounds",
)
"""Pairs from which the classes follow."""
SILENT = ("undecided", "all unknown", "each against its other order")
"""Pairs that say nothing."""
BY_VALUES = (Method.ITML, Method.SKKM, Method.SKLR, Method.MPCKMEANS)
"""Methods that find what the values show where pairs say nothing."""
FOUND = {
    Method.HDBSCAN: {
        **dict.fromkeys(TOLD, 3),
        **dict.fromkeys((*SILENT, "random", "all dissimilar"), 0),
        **dict.fromkeys(("all similar", "one item alone, the others alike"), 1),
        "in two parts": 2,
    },
    Method.SKMS: {
        **dict.fromkeys(TOLD, 3),
        **dict.fromkeys((*SILENT, "all dissimilar", "dissimilar ones only"), COUNT),
        **dict.fromkeys(("all similar", "one item alone, the others alike"), 1),
        "in two parts": 2,
        # Of half as many similar pairs it takes half as many neighbours, and finds parts of classes.
        "half unknown": 12,
    },
}
"""How many clusters the methods that find K find."""
UNTOLD = {
    (Method.SKMS, "half unknown"),
    (Method.SKMS, "dissimilar ones only"),
    # Its comparisons are of a similar with a dissimilar pair.
    (Method.SKLR, "similar ones only"),
    (Method.SKLR, "dissimilar ones only"),
}
NORMAL = 6 * np.eye(3)[LABELS] + np.random.default_rng(0).standard_normal((COUNT, 3))
ITEMS = {
    "zeros": np.zeros((COUNT, 3)),
    "equal": np.full((COUNT, 3), 0.1),
    "each many times": 6 * NORMAL[np.arange(COUNT) % 4],
    "most equal": np.where(np.arange(COUNT)[:, None] < 5, NORMAL, 1.0),
    "one far off": np.where(np.arange(COUNT)[:, None] == 7, 1e6, NORMAL),
    "one value only": NORMAL[:, :1],
    "a value that says nothing": np.column_stack([NORMAL, np.full(COUNT, 3.0)]),
    "more values than items": np.random.default_rng(0).random((COUNT, 100)),
    "tiny": NORMAL * 1e-20,
    "huge": NORMAL * 1e10,
}


def problem(method: Method, pairs: np.ndarray, items: np.ndarray, folder: Path) -> Problem:
    x = torch.from_numpy(items).float()
    subset = Subset("all", x, torch.arange(len(x)), None)
    source = None if method in WITHOUT_PAIRS else DensePairs(torch.from_numpy(pairs))
    config = ClusterConfig(method=method, backbone=Backbone.MLP, epochs=1)
    return Problem(
        subset, Kind.VECTORS, (x.shape[1],), 3, source, config, 0, torch.device("cpu"), folder / "state", "key"
    )


def quietly(given: Problem) -> Clustering:
    """Cluster; fail where a warning of NumPy or another escapes, or what is found is none."""
    method = given.config.method
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = METHODS[method](given)
    assert result.cluster.shape == (len(given.subset),)
    assert result.cluster.dtype == np.int32
    assert np.isfinite(result.prob).all()
    assert len(result.prob) == len(given.subset)
    assert result.cluster.min() >= (-1 if method is Method.HDBSCAN else 0)
    assert result.cluster.max() < result.prob.shape[1]
    if not method.finds_k:
        assert result.prob.shape[1] == given.k
    return result


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("method", ON_PAIRS)
def test_pairs_that_say_little_or_contradict_each_other(method: Method, pairs: str, tmp_path: Path) -> None:
    result = quietly(problem(method, PAIRS[pairs], two_groupings(LABELS), tmp_path))
    if pairs in TOLD and (method, pairs) not in UNTOLD:
        assert accuracy(result.cluster, LABELS) > 0.8
    elif method in BY_VALUES and (pairs in SILENT or pairs in TOLD):
        assert accuracy(result.cluster, plain_groups(LABELS)) > 0.9
    if method.finds_k and pairs in FOUND[method]:
        assert result.found == FOUND[method][pairs]
    elif not method.finds_k and method is not Method.MPCKMEANS:
        assert result.found == 3
    if pairs == "all similar" and method is Method.MPCKMEANS:
        assert result.found == 1
    if method is Method.HDBSCAN and pairs == "in two parts":
        assert accuracy(result.cluster, halves.astype(int)) == 1
    if method is Method.HDBSCAN and pairs == "one item alone":
        assert (result.cluster < 0).tolist() == [True] + [False] * (COUNT - 1)


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("method", WITH_FEATURES)
def test_items_that_say_little(method: Method, items: str, tmp_path: Path) -> None:
    for pairs in ("a fifth wrong", "random", "all similar", "all dissimilar"):
        quietly(problem(method, PAIRS[pairs], ITEMS[items], tmp_path))
        if method in WITHOUT_PAIRS:
            break


@pytest.mark.parametrize("method", [Method.SKMS, *WITHOUT_PAIRS])
def test_equal_items_are_in_one_cluster(method: Method, tmp_path: Path) -> None:
    for pairs in ("all similar", "all dissimilar", "undecided"):
        given = problem(method, PAIRS[pairs], ITEMS["each many times"], tmp_path)
        cluster = quietly(replace(given, k=4)).cluster
        for number in range(4):
            assert len(set(cluster[number::4].tolist())) == 1


@pytest.mark.parametrize("distinct", [1, 2, 7, 8, 9, 20])
@pytest.mark.parametrize("method", [Method.SPECTRAL, *WITHOUT_PAIRS])
def test_equal_items_are_never_parted(
    method: Method, distinct: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("clusterkit"), "propagate", True)
    same = np.random.default_rng(1).permutation(np.arange(COUNT) % distinct)
    given = problem(method, TRUE, np.random.default_rng(0).random((distinct, 3))[same], tmp_path)
    result = quietly(replace(given, k=8, config=replace(given.config, features="pixels")))
    assert all(len(set(result.cluster[same == number].tolist())) == 1 for number in range(distinct))
    assert distinct > 8 or result.found == distinct
    assert (f"only {distinct} of {COUNT} items differ" in caplog.text) == (distinct < 8)


def test_equal_images_have_equal_features_in_blocks_of_any_size(tmp_path: Path) -> None:
    class Rounding(BackboneNet):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * (1 + 2**-20 * len(x))

    network = Rounding(Architecture(Backbone.MLP, (3,), (0.0,) * 3, (1.0,) * 3, 4))
    images = torch.randn(5, 3)[torch.arange(1001) % 5]
    given = problem(Method.KMEANS, TRUE, images.numpy(), tmp_path)
    assert len(np.unique(values(replace(given, start=network)), axis=0)) == 5


def test_most_items_equal_leave_the_others_apart(tmp_path: Path) -> None:
    # More equal ones than the neighbours by which a kernel's or a graph's width is measured.
    items = 1e3 * np.eye(3)[np.arange(330) % 3]
    labels = np.arange(330) % 3
    pairs = np.where(labels[:, None] == labels, 16.0, -16.0)
    for method in (Method.SKMS, Method.SKKM, Method.SKLR, Method.CSP, Method.LSC, Method.MPCKMEANS):
        assert accuracy(quietly(problem(method, pairs, items, tmp_path)).cluster, labels) == 1
    given = problem(Method.SPECTRAL, pairs, items, tmp_path)
    assert accuracy(quietly(replace(given, config=replace(given.config, features="pixels"))).cluster, labels) == 1


# On real characters


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.CCN])
def test_an_alphabet(method: Method, real_data: Path, cli: Cli) -> None:
    line = line_of(method, "omniglot_eval/Angelic", "simulated:0.8,0.98").replace("--k 4", "--k 20")
    assert cli(f"{line} --data {real_data}").code == 0
    # By chance an item in 20 is right, and pixels alone tell few characters apart.
    least = 0.18 if method in WITHOUT_PAIRS else 0.6
    assert cli(f"evaluate --data {real_data} --fail-under acc={least}").code == 0
