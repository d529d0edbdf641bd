"""clusterkit.cluster: what the command gives for the same arrays, and errors that name arguments."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import clusterkit
from clusterkit.errors import DivergedError, InputError
from tests.conftest import Cli

LABELS = np.repeat(np.arange(3), [20, 10, 10])
SAME = (LABELS[:, None] == LABELS).astype(float)
X = np.random.default_rng(0).normal(size=(40, 3)) + 2 * np.eye(3)[LABELS]
PICTURES = np.random.default_rng(1).integers(100, 256, (40, 12, 12), dtype=np.uint8)
PICTURES[np.arange(40), 3 + 2 * LABELS] = 0
CCN = {"method": "ccn", "k": 5, "pairs": SAME, "epochs": 2, "backbone": "mlp"}


@pytest.mark.parametrize("x", [X, PICTURES], ids=["vectors", "light pictures"])
@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("--k 4 --method kmeans", {"k": 4, "method": "kmeans"}),
        ("--k 4 --method spectral --features pixels", {"k": 4}),
        ("--k 4 --method spectral --pairs labels", {"k": 4, "pairs": SAME}),
        ("--k 3 --method csp --pairs labels", {"k": 3, "method": "csp", "pairs": SAME}),
        ("--k 3 --method mpckmeans --pairs labels --max-pairs 100",
         {"k": 3, "method": "mpckmeans", "pairs": SAME, "max_pairs": 100}),
        ("--method hdbscan --pairs labels", {"method": "hdbscan", "pairs": SAME == 1}),
        ("--k 5 --method ccn --pairs labels --epochs 2 --backbone mlp", CCN),
        ("--k 5 --method ccn --pairs labels --epochs 2 --backbone mlp --loss mcl --optimizer sgd --constraints c.csv",
         {**CCN, "loss": "mcl", "optimizer": "sgd",
          "constraints": {"must_link": [(0, 39)], "cannot_link": [[3, 1], (1, np.int64(2))]}}),
    ],
)  # fmt: skip
def test_results_are_those_of_the_command(x: np.ndarray, line: str, asked: dict[str, Any], cli: Cli) -> None:
    np.savez("a.npz", x=x, y=LABELS)
    Path("c.csv").write_text("0,39,must\n1,3,cannot\n1,2,cannot\n")
    assert cli(f"cluster arrays:a.npz --seed 5 {line}").code == 0
    by_command = clusterkit.load("clusterkit-out/assignments.h5")["all"]
    found = clusterkit.cluster(x, seed=5, **asked)
    np.testing.assert_array_equal(found.labels, by_command["cluster"])
    np.testing.assert_array_equal(found.probabilities, by_command["prob"])
    assert found.k == by_command["prob"].shape[1]


def test_other_forms_of_the_same_arrays_give_the_same() -> None:
    asked = {"k": 3, "method": "csp"}
    wanted = clusterkit.cluster(X, pairs=SAME, **asked).labels.tolist()
    forms = [SAME == 1, SAME.astype(int), SAME.tolist(), torch.from_numpy(SAME), SAME.astype(np.float16)]
    forms.append(np.where(np.eye(40) == 1, np.nan, SAME))
    for pairs in forms:
        assert clusterkit.cluster(torch.from_numpy(X), pairs=pairs, **asked).labels.tolist() == wanted
    assert clusterkit.cluster(X.tolist(), pairs=SAME, **asked).labels.tolist() == wanted
    pictures = [PICTURES, PICTURES[..., None], PICTURES[:, None], PICTURES / 255]
    found = [clusterkit.cluster(x, k=3, method="kmeans").labels.tolist() for x in pictures]
    assert all(labels == found[0] for labels in found)


def test_probabilities_decide_where_signs_do_not() -> None:
    """Spectral clustering reads how probable a pair is: of two groups of equal signs it parts the less probable."""
    pairs = np.full((12, 12), 0.6)
    pairs[:6, :6] = pairs[6:, 6:] = 0.95
    labels = clusterkit.cluster(np.zeros((12, 1)), k=2, pairs=pairs).labels
    assert len(set(labels[:6])) == len(set(labels[6:])) == 1
    assert labels[0] != labels[6]


def test_links_alone_are_pairs_enough_for_methods_that_read_signs() -> None:
    line = np.linspace(0, 1, 12)[:, None]
    must, cannot = [(i, i + 2) for i in range(10)], [(i, i + 1) for i in range(11)]
    labels = clusterkit.cluster(line, k=2, method="csp", constraints={"must_link": must, "cannot_link": cannot}).labels
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1
    assert labels[0] != labels[1]


def test_vectors_have_a_backbone_without_its_name() -> None:
    unnamed = {name: value for name, value in CCN.items() if name != "backbone"}
    np.testing.assert_array_equal(*(clusterkit.cluster(X, **asked).probabilities for asked in (CCN, unnamed)))


def test_links_alone_are_pairs_enough_for_a_network() -> None:
    asked = {"k": 2, "method": "ccn", "backbone": "mlp", "epochs": 60, "loss": "kcl", "learning_rate": 0.01}
    x = np.random.default_rng(0).normal(size=(30, 2))
    x[15:] += 8
    must = [(i, j) for part in (range(15), range(15, 30)) for i in part for j in part if i < j]
    links = {"must_link": must, "cannot_link": [(i, j) for i in range(15) for j in range(15, 30)]}
    labels = clusterkit.cluster(x, constraints=links, **asked).labels
    assert len(set(labels[:15])) == len(set(labels[15:])) == 1
    assert labels[0] != labels[15]


def test_pairs_of_more_items_than_are_read_at_once() -> None:
    truth = np.arange(1200) % 3
    pairs = np.where(truth[:, None] == truth, 0.9, 0.2).astype(np.float32)
    np.fill_diagonal(pairs, np.nan)
    labels = clusterkit.cluster(np.zeros((1200, 1)), k=3, method="agglomerative", pairs=pairs).labels
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == 3
    pairs[1100, 700] = 0.8
    with pytest.raises(ValueError, match=r"^pairs: \[700, 1100\] is 0\.2 and \[1100, 700\] is 0\.8; give one value"):
        clusterkit.cluster(np.zeros((1200, 1)), k=3, pairs=pairs)
    pairs[700, 1100] = pairs[1100, 700] = 1.5
    with pytest.raises(ValueError, match=r"^pairs: \[700, 1100\] is 1\.5; give probabilities from 0 to 1"):
        clusterkit.cluster(np.zeros((1200, 1)), k=3, pairs=pairs)


def test_an_item_in_no_cluster() -> None:
    pairs = np.eye(13)
    pairs[:6, :6] = pairs[6:12, 6:12] = 1
    found = clusterkit.cluster(np.zeros((13, 1)), method="hdbscan", pairs=pairs)
    assert found.labels[12] == -1
    assert not found.probabilities[12].any()
    assert found.k == found.labels.max() + 1 == 2


def test_a_network_starts_from_that_of_a_file(points: Path, cli: Cli) -> None:
    assert cli("pretrain synthetic:blobs --backbone mlp --epochs 1").code == 0
    start = "clusterkit-out/pretrained.safetensors"
    x = np.random.default_rng(0).normal(size=(40, 2))
    asked = {"k": 5, "method": "ccn", "pairs": SAME, "epochs": 1}
    np.savez("a.npz", x=x, y=LABELS)
    assert cli(f"cluster arrays:a.npz --pairs labels --k 5 --epochs 1 --init {start} --workdir other").code == 0
    found = clusterkit.cluster(x, **asked, init=start)
    np.testing.assert_array_equal(found.labels, clusterkit.load("other/assignments.h5")["all"]["cluster"])
    with pytest.raises(
        ValueError, match=r"^init: x holds items of shape \(3,\), but the network was trained on \(2,\)"
    ):
        clusterkit.cluster(X, **asked, init=Path(start))


def test_nothing_is_printed_written_or_disturbed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    caplog.set_level("INFO", "clusterkit")
    x, pairs = X.astype(np.float32), SAME.copy()
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    clusterkit.cluster(x, **{**CCN, "pairs": pairs})
    assert capfd.readouterr().out == ""
    assert "epoch 2/2" in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    np.testing.assert_array_equal(x, X.astype(np.float32))
    np.testing.assert_array_equal(pairs, SAME)


ONE_WAY = SAME.copy()
ONE_WAY[1, 30] = 0.9
SOME = np.where(np.abs(np.subtract.outer(range(40), range(40))) < 2, SAME, np.nan)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "k: method spectral does not find the number of clusters; give a number from 2"),
        ({"k": 1}, "k 1: give a number from 2"),
        ({"k": 40}, "k 40: x has only 40 items in subset all"),
        ({"k": 41}, "k 41: x has only 40 items in subset all"),
        ({"k": 3, "method": "nope"}, "method nope: choose one of ccn, "),
        ({"k": 3, "method": "csp"}, "pairs: method csp reads pairs; give pairs (N, N) or constraints"),
        ({"k": 3, "method": "ccn"}, "pairs: method ccn reads pairs"),
        ({"k": 3, "method": "kmeans", "pairs": SAME}, "pairs: method kmeans uses no pairs"),
        ({"k": 3, "method": "consensus", "pairs": SAME}, "pairs: method consensus uses no pairs"),
        ({"k": 3, "method": "lsc", "constraints": {"must_link": [(0, 1)]}}, "constraints: method lsc uses no pairs"),
        ({"k": 3, "method": "hdbscan", "pairs": SAME}, "k 3: method hdbscan finds the number of clusters itself"),
        ({"k": 100, "method": "skms", "pairs": SAME}, "k 100: method skms finds the number of clusters itself"),
        ({"k": 3, "epochs": 3}, "epochs: method spectral does not use it; leave it out or use method ccn"),
        ({"k": 3, "max_pairs": 9}, "max_pairs: method spectral does not use it; leave it out or use method itml or mp"),
        ({**CCN, "epochs": 0}, "epochs 0: give a number from 1"),
        ({**CCN, "learning_rate": float("nan")}, "learning_rate nan: give a finite number"),
        ({**CCN, "backbone": "big"}, "backbone big: choose one of conv4, "),
        ({**CCN, "backbone": "conv4"}, "backbone conv4 takes images"),
        ({**CCN, "loss": "mse"}, "loss mse: choose kcl or ccl"),
        ({**CCN, "sigma": 2.0}, "sigma: loss ccl has no margin"),
        ({**CCN, "init": "g"}, "init g: pairs in an array have no G"),
        ({**CCN, "variation": "strong"}, "variation strong: x holds vectors"),
        ({**CCN, "precision": "tf32", "device": "cpu"}, "precision tf32: only CUDA devices"),
        ({"k": 3, "pairs": SAME[:30]}, "pairs: shape (30, 40), and x has 40 items; give shape (40, 40)"),
        ({"k": 3, "pairs": SAME[:30, :30]}, "pairs: shape (30, 30), and x has 40 items"),
        ({"k": 3, "pairs": SAME[0]}, "pairs: shape (40,)"),
        ({"k": 3, "pairs": 2 * SAME - 1}, "pairs: [0, 20] is -1; give probabilities from 0 to 1"),
        ({"k": 3, "pairs": np.where(SAME == 1, np.inf, 0)}, "pairs: [0, 1] is inf; give probabilities"),
        ({"k": 3, "pairs": ONE_WAY}, "pairs: [1, 30] is 0.9 and [30, 1] is 0; give one value for both"),
        ({"k": 3, "pairs": np.where(ONE_WAY == 0.9, np.nan, SAME), "method": "csp"}, "pairs: [1, 30] is nan and"),
        ({"k": 3, "pairs": SOME}, f"pairs: {40 * 39 - 78} values are NaN, and method spectral needs all pairs"),
        ({"k": 3, "constraints": {"must_link": [(0, 1)]}}, "pairs: method spectral needs the probability of every"),
        ({"k": 3, "pairs": SAME, "constraints": {"must_link": [(0, 40)]}}, "must_link[0]: no item 40; x has 40"),
        ({"k": 3, "pairs": SAME, "constraints": {"cannot_link": [(0, 1), (-1, 2)]}}, "cannot_link[1]: no item -1"),
        ({"k": 3, "pairs": SAME, "constraints": {"must_link": [(2, 2)]}}, "must_link[0]: pairs item 2 with itself"),
        (
            {"k": 3, "pairs": SAME, "constraints": {"must_link": [(0, 1)], "cannot_link": [(1, 0)]}},
            "cannot_link[0]: items 1 and 0 cannot be together, but must_link[0] ties them (1 - 0); remove one",
        ),
        ({"k": 3, "seed": -1}, "seed -1: give a number from 0"),
        ({"k": 3, "device": "tpu"}, "device tpu: choose auto"),
    ],
)
def test_values_that_cannot_be_used(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as caught:
        clusterkit.cluster(X, **asked)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": 3.0}, "k must be a whole number or None, not 3.0"),
        ({"k": "auto"}, "k must be a whole number or None, not 'auto'"),
        ({"k": True}, "k must be a whole number or None, not True"),
        ({"k": 3, "seed": "x"}, "seed must be a whole number, not 'x'"),
        ({"k": 3, "wide": 1}, "unexpected argument 'wide'; the options of method spectral: none"),
        ({**CCN, "wide": 1}, "unexpected argument 'wide'; the options of method ccn: loss, sigma, init, "),
        ({**CCN, "epochs": "3"}, "epochs must be int or None, not '3'"),
        ({**CCN, "epochs": 2.5}, "epochs must be int or None, not 2.5"),
        ({**CCN, "loss": 3}, "loss must be Loss, not 3"),
        ({"k": 3, "pairs": "labels"}, "pairs must be an array of numbers"),
        ({"k": 3, "pairs": SAME, "constraints": [(0, 1)]}, "constraints must be a dict with the lists must_link"),
        ({"k": 3, "pairs": SAME, "constraints": {"must": [(0, 1)]}}, "constraints must be a dict with the lists"),
        ({"k": 3, "pairs": SAME, "constraints": {"must_link": [(0, 1, 2)]}}, "must_link[0] must be two positions"),
        ({"k": 3, "pairs": SAME, "constraints": {"must_link": [(0, 1.5)]}}, "must_link[0] must be two positions"),
    ],
)
def test_values_of_another_type(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        clusterkit.cluster(X, **asked)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.where(X > 3, np.nan, X), "NaN or infinite values, the first at x["),
        (X[0], "x is float64 (3,); expected numbers"),
        (X[:0], "x is float64 (0, 3); expected numbers, not empty"),
        (X[:, :0], "x is float64 (40, 0); expected numbers, not empty"),
        ("folder", "x is <U6 (); expected numbers"),
        (None, "x is object (); expected numbers"),
        (X + 1j, "x is complex128 (40, 3); expected numbers"),
        (np.zeros((4, 5, 5, 2)), "x of shape (4, 5, 5, 2) has neither 1 nor 3 channels"),
        (np.zeros((4, 5, 5)) - 1, "x[0, 0, 0] is -1, outside the range 0 to 1 of float64 pixels; subtract the value"),
        (
            np.full((4, 5, 5), 200.0),
            "x[0, 0, 0] is 200, outside the range 0 to 1 of float64 pixels; divide x by its largest",
        ),
        (X[:1], "k 2: x has only 1 items in subset all"),
    ],
)
def test_arrays_that_hold_no_items(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        clusterkit.cluster(x, k=2)
    assert "arrays" not in str(caught.value)


def test_a_missing_file_and_a_training_that_diverges() -> None:
    with pytest.raises(FileNotFoundError, match=r"^start\.safetensors: no such file"):
        clusterkit.cluster(X, **{**CCN, "init": "start.safetensors"})
    Path("start.safetensors").write_text("a note")
    with pytest.raises(InputError, match=r"^start\.safetensors: not a clusterkit pretrained or g file"):
        clusterkit.cluster(X, k=5, method="ccn", pairs=SAME, init="start.safetensors")
    with pytest.raises(DivergedError, match="try a smaller learning_rate"):
        clusterkit.cluster(X, **CCN, learning_rate=1e30, optimizer="sgd")


def test_too_few_items_and_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^method hdbscan: x has fewer than 5 items"):
        clusterkit.cluster(X[:4], method="hdbscan", pairs=SAME[:4, :4])
    monkeypatch.setattr("clusterkit.methods.common.check.memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"^method spectral: the 40 items of x need about"):
        clusterkit.cluster(X, k=3)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"method": ["kmeans"]}, TypeError, "method must be a name"),
        ({"seed": True}, TypeError, "seed must be a whole number"),
        ({"seed": 2**63}, ValueError, "seed 9223372036854775808: give a number from 0"),
        ({"constraints": {"must_link": 5}, "method": "csp"}, TypeError, "must_link must be a list of pairs"),
        ({"constraints": {"must_link": [(True, False)]}, "method": "csp"}, TypeError, "must be two positions"),
        ({"pairs": np.full((40, 40), np.nan), "method": "csp"}, ValueError, "nothing is known of any pair"),
    ],
)
def test_values_of_another_kind(given: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        clusterkit.cluster(X, **{"k": 3, "method": "kmeans", **given})


def test_arrays_that_hide_something() -> None:
    with pytest.raises(ValueError, match="x: has masked values"):
        clusterkit.cluster(np.ma.masked_array(X, X > 1), k=3, method="kmeans")
    with pytest.raises(ValueError, match="x: its rows have different lengths"):
        clusterkit.cluster([[1.0, 2.0], [3.0]], k=3, method="kmeans")
    with pytest.raises(ValueError, match=r"x has values beyond 3e.38; scale it"):
        clusterkit.cluster(X * 1e300, k=3, method="kmeans")


def test_arrays_of_other_kinds_give_the_same_clusters() -> None:
    x = X.astype(np.float32)
    expected = clusterkit.cluster(x.copy(), k=3, method="kmeans").labels
    x.flags.writeable = False
    for given in (x, x.tolist(), np.asfortranarray(x), torch.from_numpy(x.copy()), pd.DataFrame(x.copy())):
        np.testing.assert_array_equal(clusterkit.cluster(given, k=3, method="kmeans").labels, expected)
