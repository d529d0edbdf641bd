"""The clustering methods beside ccn, through the command line, and on pairs and items that leave them little."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.config import Backbone, ClusterConfig
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS as ALL
from clusterkit.methods import CcnOptions, with_options
from clusterkit.methods.common.check import check_cost
from clusterkit.methods.common.declared import Reads
from clusterkit.methods.common.problem import Clustering
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, BackboneNet
from clusterkit.pairs.dense import DensePairs
from clusterkit.settings import Features, Init
from tests.cli.test_bad_input import fails, state_of
from tests.conftest import LETTERS, Cli
from tests.groups import plain_groups, two_groupings
from tests.problems import Case, case

METHODS = {name: method for name, method in ALL.items() if not method.joint and name != "c2m"}
"""The methods that read pairs, or nothing but the items."""
SAMPLED = ("itml", "mpckmeans")
OUT = Path("clusterkit-out")
WITHOUT_PAIRS = tuple(name for name, method in METHODS.items() if method.pairs is Reads.NOTHING)
ON_PAIRS = tuple(name for name in METHODS if name not in (*WITHOUT_PAIRS, "ccn"))
WITH_FEATURES = tuple(name for name, method in METHODS.items() if method.values)
CCN = "--backbone mlp --epochs 2"


def arrays(labels: np.ndarray) -> str:
    """Write items whose classes only pairs tell; return the data set's name."""
    np.savez("points.npz", x=two_groupings(labels).astype(np.float32), y=labels)
    return "arrays:points.npz"


def line_of(method: str, data: str, pairs: str = "simulated:0.95,0.95") -> str:
    """Return a command that clusters four groups by a method, and by pairs where it consumes them."""
    line = f"cluster {data} --method {method}"
    line += "" if method in WITHOUT_PAIRS else f" --pairs {pairs}"
    line += "" if METHODS[method].finds_k else " --k 4"
    return f"{line} {CCN}" if method == "ccn" else line


def found(folder: Path = OUT, subset: str = "all") -> np.ndarray:
    return read_assignments(folder / "assignments.h5")[1][subset].cluster


# Through the command line


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_assignments_twice_the_same(method: str, cli: Cli) -> None:
    labels = np.arange(80) % 4
    line = line_of(method, arrays(labels))
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    header, groups = read_assignments(OUT / "assignments.h5")
    made = groups["all"]
    assert made.id.tolist() == list(range(80))
    assert made.prob.shape == (80, max(1, made.cluster.max() + 1) if METHODS[method].finds_k else 4)
    inside = made.cluster >= 0
    np.testing.assert_allclose(made.prob[inside].sum(1), 1, atol=1e-5)
    assert not made.prob[~inside].any()
    assert (made.prob.argmax(1) == made.cluster)[inside].all()
    assert inside.all() or method == "hdbscan"
    assert header.extra["uses_target_labels"] == ("no" if method in WITHOUT_PAIRS else "pairs with simulated errors")
    assert header.config["method"] == method
    fields = json.loads(done.out)
    assert fields["clusters"] == {"all": len(np.unique(made.cluster[inside]))}
    assert (fields["network"] is None) == (method != "ccn")
    if method != "ccn":
        assert accuracy(made.cluster, plain_groups(labels) if method in WITHOUT_PAIRS else labels) > 0.9
    first = (OUT / "assignments.h5").read_bytes()
    assert cli(line).code == 0
    assert (OUT / "assignments.h5").read_bytes() == first
    assert sorted(path.name for path in OUT.iterdir()) == [
        "assignments.h5", *(["ccn.safetensors"] if method == "ccn" else [])
    ]  # fmt: skip


@pytest.mark.parametrize("method", ON_PAIRS)
def test_a_fifth_of_the_pairs_wrong(method: str, cli: Cli) -> None:
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
def test_constraints_reach_the_method(method: str, cli: Cli) -> None:
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
    assert accuracy(found(), merged) >= (0.9 if method == "skms" else 1)


@pytest.mark.parametrize("method", ["skms", "hdbscan"])
def test_what_finds_k_is_evaluated_and_counted(method: str, points: Path, cli: Cli) -> None:
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
def test_features_with_every_method(method: str, features: str, letters: Path, cli: Cli) -> None:
    line = f"cluster --method {method} --features {features}"
    done = cli(line if METHODS[method].finds_k else f"{line} --k 6")
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
    assert cli(f"{line} itml --no-self-train").code == 0
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
    # A file of another name is not the one that the command writes.
    how = "make one with" if features == "start.safetensors" else "make it with"
    said = {"missing": f"{how}: {NEXT[features]}", "empty": "empty", "truncated": "damaged"}
    word = {**said, "folder": "Is a directory", "foreign": "not a clusterkit"}[kind]
    for method in ("kmeans", "skkm --pairs labels"):
        done = cli(f"cluster {LETTERS} --k 6 --features {features} --method {method}")
        fails(done, 3, f"clusterkit-out/{path.name}: ", word)
    assert state_of(letters) == before


def test_features_that_belong_to_others(letters: Path, cli: Cli) -> None:
    before = state_of(letters)
    line = "cluster glyphs_bg@0-3 --k 3 --method kmeans --features"
    fails(cli(f"{line} ccn"), 3, "ccn.safetensors: was made from", LETTERS, "run: clusterkit cluster glyphs_bg@0-3")
    fails(cli("cluster synthetic:blobs --k 3 --method kmeans --features g"), 3, "synthetic:blobs", "shape")
    fails(cli(f"{line} ccn.safetensors"), 3, "ccn.safetensors: holds ccn")
    fails(cli(f"{line} pairs.h5"), 3, "pairs.h5: holds pairs, not features")
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
            for method in METHODS
            if method not in ("itml", "mpckmeans")
        ),
        ("--max-pairs 3 --method itml", ("--max-pairs",)),
        *(
            (f"--k {k} --method {method}", (f"--k {k}", method, "leave it out"))
            for k in ("4", "known", "auto")
            for method in ("skms", "hdbscan")
        ),
        *(
            (f"--k {k} --method {method} {'' if method in WITHOUT_PAIRS else '--pairs labels'}", (f"--k {k}", "20"))
            for method in METHODS
            if not METHODS[method].finds_k and method != "ccn"
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
        for method in METHODS:
            if method in ("ccn", "hdbscan"):
                continue
            done = cli(line_of(method, data, "labels").replace("--k 4", "--k 2"))
            assert done.code == 0, done.err
            # Mean shift has no neighbour within whose distance another item is.
            assert len(np.unique(found())) == (len(labels) if method == "skms" else 2)
            if method in ON_PAIRS and method != "skms" and len(labels) == 4:
                assert accuracy(found(), labels) == 1


@pytest.mark.parametrize(("method", "least"), [("hdbscan", 5), ("skms", 2)])
def test_too_few_items_are_refused_before_any_subset_is_clustered(
    method: str, least: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(name: str) -> None:
        raise AssertionError

    monkeypatch.setattr("clusterkit.methods.common.solve.function_of", reached)
    data = arrays(np.arange(least - 1) % 2)
    fails(cli(f"cluster {data} --method {method} --pairs labels"), 2, str(method), f"fewer than {least}")
    assert not OUT.exists()


# A sample of the pairs


@pytest.mark.parametrize("method", ["itml", "mpckmeans"])
def test_pairs_among_a_sample_of_the_items(method: str, cli: Cli) -> None:
    labels = np.arange(80) % 4
    line = line_of(method, arrays(labels), "simulated:0.9,0.9")
    seen = {}
    for most in (None, 6400, 10**12, 900, 4):
        given = line if most is None else f"{line} --max-pairs {most}"
        assert cli(given).code == 0
        seen[most] = found().tolist()
        assert read_assignments(OUT / "assignments.h5")[0].config["options"]["max_pairs"] == most
        first = (OUT / "assignments.h5").read_bytes()
        assert cli(given).code == 0
        assert (OUT / "assignments.h5").read_bytes() == first
    assert seen[6400] == seen[10**12] == seen[None]
    for most, clusters in seen.items():
        # Two items' pair does not tell the classes; by the values they are the plain groups.
        assert accuracy(np.array(clusters), labels) > 0.9 if most != 4 else accuracy(np.array(clusters), labels) < 0.5


# What it costs


@pytest.mark.parametrize("method", [method for method in METHODS if method != "ccn"])
def test_too_little_memory_is_said_before(method: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    data = arrays(np.arange(40) % 4)
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: 5000)
    done = cli(line_of(method, data))
    fails(done, 2, f"--method {method}", "40 items of", "need about", "this machine (or its container) has 5000")
    assert ("--max-pairs" in done.err) == (method in SAMPLED)
    assert not OUT.exists()
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: None)
    assert cli(line_of(method, data)).code == 0


def test_fewer_pairs_need_less_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    data = arrays(np.arange(40) % 4)
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: 50_000)
    for method in ("itml", "mpckmeans"):
        assert cli(line_of(method, data)).code == 2
        assert cli(f"{line_of(method, data)} --max-pairs 100").code == 0


def test_ccn_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: 10**9)
    check_cost(with_options(ClusterConfig()), "all", 10_000_000, 150_528, 100)
    with pytest.raises(UsageError, match=r"60000 items of all need about \d{11,} bytes"):
        check_cost(with_options(ClusterConfig(method="spectral")), "all", 60_000, 784, 100)


def test_a_network_on_a_metric_needs_what_its_consensus_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_options(ClusterConfig(options=CcnOptions(init=Init.G)))
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: 2 * 10**9)
    check_cost(config, "all", 100_000, 50, 10, by_metric=True)
    check_cost(config, "all", 1_000_000, 50, 10)
    with pytest.raises(UsageError, match=r"--method ccn: the 1000000 items of all need .*; use --method kmeans"):
        check_cost(config, "all", 1_000_000, 50, 10, by_metric=True)
    with pytest.raises(UsageError, match="--method consensus: the 20000 items of all need about"):
        check_cost(with_options(ClusterConfig(method="consensus")), "all", 20_000, 50, 5000)


@pytest.mark.parametrize("method", METHODS)
def test_hours_are_said(method: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: None)
    config = with_options(ClusterConfig(method=method))
    check_cost(config, "all", 1000, 784, 10)
    assert not caplog.messages
    check_cost(config, "all", 10_000_000, 3072, 1000)
    if method == "ccn":
        assert not caplog.messages
    else:
        assert f"--method {method}: the 10000000 items of all take about" in caplog.text
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
BY_VALUES = ("itml", "skkm", "sklr", "mpckmeans")
"""Methods that find what the values show where pairs say nothing."""
FOUND = {
    "hdbscan": {
        **dict.fromkeys(TOLD, 3),
        **dict.fromkeys((*SILENT, "random", "all dissimilar"), 0),
        **dict.fromkeys(("all similar", "one item alone, the others alike"), 1),
        "in two parts": 2,
    },
    "skms": {
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
    ("skms", "half unknown"),
    ("skms", "dissimilar ones only"),
    # Its comparisons are of a similar with a dissimilar pair.
    ("sklr", "similar ones only"),
    ("sklr", "dissimilar ones only"),
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


def problem(method: str, pairs: np.ndarray, items: np.ndarray, folder: Path) -> Case:
    source = None if method in WITHOUT_PAIRS else DensePairs(torch.from_numpy(pairs))
    return case(method, torch.from_numpy(items).float(), source, 3, folder)


def quietly(asked: Case) -> Clustering:
    """Cluster; fail where a warning of NumPy or another escapes, or what is found is none."""
    count, method = len(asked.items.subset), asked.config.method
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = asked.clustered()
    assert result.cluster.shape == (count,)
    assert result.cluster.dtype == np.int32
    assert np.isfinite(result.prob).all()
    assert len(result.prob) == count
    assert result.cluster.min() >= (-1 if method == "hdbscan" else 0)
    assert result.cluster.max() < result.prob.shape[1]
    if not METHODS[method].finds_k:
        assert result.prob.shape[1] == asked.question.k
    return result


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("method", ON_PAIRS)
def test_pairs_that_say_little_or_contradict_each_other(method: str, pairs: str, tmp_path: Path) -> None:
    result = quietly(problem(method, PAIRS[pairs], two_groupings(LABELS), tmp_path))
    if pairs in TOLD and (method, pairs) not in UNTOLD:
        assert accuracy(result.cluster, LABELS) > 0.8
    elif method in BY_VALUES and (pairs in SILENT or pairs in TOLD):
        assert accuracy(result.cluster, plain_groups(LABELS)) > 0.9
    if METHODS[method].finds_k and pairs in FOUND[method]:
        assert result.clusters == FOUND[method][pairs]
    elif not METHODS[method].finds_k and method != "mpckmeans":
        assert result.clusters == 3
    if pairs == "all similar" and method == "mpckmeans":
        assert result.clusters == 1
    if method == "hdbscan" and pairs == "in two parts":
        assert accuracy(result.cluster, halves.astype(int)) == 1
    if method == "hdbscan" and pairs == "one item alone":
        assert (result.cluster < 0).tolist() == [True] + [False] * (COUNT - 1)


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("method", WITH_FEATURES)
def test_items_that_say_little(method: str, items: str, tmp_path: Path) -> None:
    for pairs in ("a fifth wrong", "random", "all similar", "all dissimilar"):
        quietly(problem(method, PAIRS[pairs], ITEMS[items], tmp_path))
        if method in WITHOUT_PAIRS:
            break


@pytest.mark.parametrize("method", ["skms", *WITHOUT_PAIRS])
def test_equal_items_are_in_one_cluster(method: str, tmp_path: Path) -> None:
    for pairs in ("all similar", "all dissimilar", "undecided"):
        given = problem(method, PAIRS[pairs], ITEMS["each many times"], tmp_path)
        cluster = quietly(given.having(k=4)).cluster
        for number in range(4):
            assert len(set(cluster[number::4].tolist())) == 1


@pytest.mark.parametrize("distinct", [1, 2, 7, 8, 9, 20])
@pytest.mark.parametrize("method", ["spectral", *WITHOUT_PAIRS])
def test_equal_items_are_never_parted(
    method: str, distinct: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same = np.random.default_rng(1).permutation(np.arange(COUNT) % distinct)
    given = problem(method, TRUE, np.random.default_rng(0).random((distinct, 3))[same], tmp_path)
    result = quietly(given.having(k=8, features=Features.PIXELS))
    assert all(len(set(result.cluster[same == number].tolist())) == 1 for number in range(distinct))
    assert distinct > 8 or result.clusters == distinct
    assert (f"only {distinct} of {COUNT} items differ" in caplog.text) == (distinct < 8)


def test_equal_images_have_equal_features_in_blocks_of_any_size(tmp_path: Path) -> None:
    class Rounding(BackboneNet):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * (1 + 2**-20 * len(x))

    network = Rounding(Architecture(Backbone.MLP, (3,), (0.0,) * 3, (1.0,) * 3, 4))
    images = torch.randn(5, 3)[torch.arange(1001) % 5]
    given = problem("kmeans", TRUE, images.numpy(), tmp_path)
    assert len(np.unique(given.having(start=network).problem.values, axis=0)) == 5


def test_most_items_equal_leave_the_others_apart(tmp_path: Path) -> None:
    # More equal ones than the neighbours by which a kernel's or a graph's width is measured.
    items = 1e3 * np.eye(3)[np.arange(330) % 3]
    labels = np.arange(330) % 3
    pairs = np.where(labels[:, None] == labels, 16.0, -16.0)
    for method in ("skms", "skkm", "sklr", "csp", "lsc", "mpckmeans"):
        assert accuracy(quietly(problem(method, pairs, items, tmp_path)).cluster, labels) == 1
    given = problem("spectral", pairs, items, tmp_path)
    assert accuracy(quietly(given.having(features=Features.PIXELS)).cluster, labels) == 1


# On real characters


@pytest.mark.parametrize("method", [method for method in METHODS if method != "ccn"])
def test_an_alphabet(method: str, real_data: Path, cli: Cli) -> None:
    line = line_of(method, "omniglot_eval/Angelic", "simulated:0.8,0.98").replace("--k 4", "--k 20")
    assert cli(f"{line} --data {real_data}").code == 0
    # By chance an item in 20 is right, and pixels alone tell few characters apart.
    least = 0.18 if method in WITHOUT_PAIRS else 0.6
    assert cli(f"evaluate --data {real_data} --fail-under acc={least}").code == 0
