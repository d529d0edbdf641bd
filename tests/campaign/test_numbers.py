"""Cluster degenerate items and pairs by every method: the result is a clustering, or one line that says why not.

Of plain groups, in whatever order, methods and estimates of K find all.
"""

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import clusterkit
from clusterkit.artifacts.assignments import Assignment
from clusterkit.errors import ClusterkitError
from clusterkit.methods import METHODS
from clusterkit.methods.common.rounds import count_in_sample
from clusterkit.metrics.clustering import accuracy
from clusterkit.metrics.probe_k import probe_estimate
from clusterkit.pairs.dense import DensePairs
from clusterkit.stages.estimate_k import estimate
from tests.campaign.harness import chance_of

pytestmark = pytest.mark.campaign
TRIALS = 60
EACH = 5
Array = NDArray[np.float64]

BRIEF: dict[str, dict[str, Any]] = {
    "ccn": {"backbone": "mlp", "epochs": 2},
    "dec": {"backbone": "identity", "epochs": 2, "init": "random"},
    "dtc": {"backbone": "identity", "epochs": 2, "init": "random"},
    "supreme": {"backbone": "identity", "epochs": 2, "init": "random"},
    "autonovel": {"backbone": "identity", "epochs": 2, "init": "random"},
}
ITEMS = ("groups", "equal", "twice", "line", "one apart", "zeros", "huge", "tiny", "one column", "noise")
PAIRS = (
    "true",
    "all similar",
    "all different",
    "half",
    "unknown",
    "mostly unknown",
    "one isolated",
    "random",
    "one pair",
)
KNOWN = tuple(kind for kind in PAIRS if kind not in ("unknown", "mostly unknown", "one pair"))
"""Pairs as `predict-pairs` writes them. Only those have an estimate of K."""
SCALED = ("kmeans", "consensus")
"""Methods whose groups do not depend on the unit of the values."""


def items(kind: str, labels: NDArray[np.int64], rng: np.random.Generator) -> Array:
    count = len(labels)
    groups = 6 * np.eye(labels.max() + 1, 8)[labels] + rng.normal(size=(count, 8))
    made = {
        "equal": np.ones((count, 3)),
        "zeros": np.zeros((count, 3)),
        "twice": groups[np.arange(count) // 2 * 2],
        "line": np.arange(count, dtype=float)[:, None] * np.ones(3),
        "one apart": np.where(np.arange(count)[:, None] == 0, 1e6, groups),
        "huge": groups * 1e15,
        "tiny": groups * 1e-15,
        "one column": groups[:, :1],
        "noise": rng.normal(size=(count, 30)),
    }
    return made.get(kind, groups)


def similar(kind: str, labels: NDArray[np.int64], rng: np.random.Generator) -> Array:
    count = len(labels)
    true = (labels[:, None] == labels).astype(float)
    noise = rng.random((count, count))
    noise = (noise + noise.T) / 2
    isolated = np.zeros((count, count), bool)
    isolated[0], isolated[:, 0] = True, True
    one = np.full((count, count), np.nan)
    one[0, -1] = one[-1, 0] = 1.0
    made = {
        "all similar": np.ones_like(true),
        "all different": np.zeros_like(true),
        "half": np.full_like(true, 0.5),
        "unknown": np.full_like(true, np.nan),
        "mostly unknown": np.where(noise < 0.7, np.nan, true),
        "one isolated": np.where(isolated, 0.0, 1.0),
        "random": noise,
        "one pair": one,
    }
    return made.get(kind, true)


def clustered(method: str, x: Array, pairs: Array | None, k: int | None, **more: Any) -> Any:
    """The clustering, or the line that says why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return clusterkit.cluster(x, k=k, method=method, pairs=pairs, **BRIEF.get(method, {}), **more)
        except ClusterkitError as error:
            return str(error)


def source_of(method: str, rng: np.random.Generator, width: int) -> dict[str, Any]:
    if method not in ("supreme", "autonovel"):
        return {}
    labels = np.arange(30) % 3
    return {"source": (6 * np.eye(3, width)[labels] + rng.normal(size=(30, width)), labels)}


def check(found: Any, count: int) -> None:
    assert found.labels.shape == (count,)
    assert found.probabilities.shape == (count, found.k)
    assert np.isfinite(found.probabilities).all()
    assert found.labels.min() >= -1
    assert found.labels.max() < max(found.k, 1)
    sums = found.probabilities.sum(1)
    assert ((np.abs(sums - 1) < 1e-3) | (sums == 0)).all()


def trial(method: str, chance: random.Random) -> None:
    rng = np.random.default_rng(chance.getrandbits(32))
    is_plain = chance.random() < 0.2
    count, k = (40, 4) if is_plain else (chance.choice([2, 3, 5, 12, 40]), chance.choice([2, 3, 5]))
    labels = rng.permutation(40) % 4 if is_plain else rng.integers(0, chance.choice([1, 2, 4]), count)
    kind, of_pairs = ("groups", "true") if is_plain else (chance.choice(ITEMS), chance.choice(PAIRS))
    x, pairs = items(kind, labels, rng), None
    if METHODS[method].pairs is not None and not METHODS[method].joint:
        pairs = similar(of_pairs, labels, rng)
    asked = None if METHODS[method].finds_k else k
    more = source_of(method, rng, x.shape[1])
    found = clustered(method, x, pairs, asked, **more)
    if isinstance(found, str):
        assert "\n" not in found
        return
    check(found, count)
    if is_plain and method == "skms":
        # Ten items have more than one mode at times, but items of two groups never climb to the same one.
        assert len(set(zip(found.labels.tolist(), labels.tolist(), strict=True))) == found.k
    elif is_plain and not METHODS[method].trains:
        assert accuracy(found.labels, labels) == 1
    if method in SCALED:
        scaled = clustered(method, 1024 * x, pairs, asked)
        assert not isinstance(scaled, str)
        assert accuracy(scaled.labels, found.labels) == 1, "another unit of the values"


@pytest.mark.parametrize("number", range(TRIALS))
@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"c2m"}))
def test_method(method: str, number: int) -> None:
    for part in range(EACH):
        try:
            trial(method, chance_of("numbers", method, number, part))
        except Exception as fault:
            raise AssertionError(f"{method} {number}.{part}: {fault!r}") from fault


@pytest.mark.parametrize("number", range(5 * TRIALS))
def test_estimates(number: int) -> None:
    chance = chance_of("estimates", number)
    rng = np.random.default_rng(chance.getrandbits(32))
    is_plain = chance.random() < 0.3
    count, k = (40, 4) if is_plain else (chance.choice([2, 3, 5, 12, 40]), chance.choice([1, 2, 4]))
    labels = rng.permutation(count) % k
    kind, of_pairs = ("groups", "true") if is_plain else (chance.choice(ITEMS), chance.choice(KNOWN))
    x = items(kind, labels, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_rows, of_reordered = (count_in_sample(given, number)[0] for given in (x, x[rng.permutation(count)]))
        logits = np.log1p(8 * similar(of_pairs, labels, rng)) * 4 - 4
        given = Assignment(np.arange(count), labels.astype(np.int32), np.eye(k, dtype=np.float32)[labels])
        of_pairs_found = estimate(given, 100, DensePairs(torch.from_numpy(logits)), "all", number)
        probe = np.arange(60) % 12
        known = 6 * rng.normal(size=(12, x.shape[1]))[probe] + rng.normal(size=(60, x.shape[1]))
        of_probe = probe_estimate(x, known, probe, 10, number)
    assert of_rows == of_reordered
    del of_pairs_found["spread"]
    estimates = [*of_rows.values(), *of_pairs_found.values(), of_probe.k]
    assert all(1 <= found <= max(2, count) for found in estimates), (of_rows, of_pairs_found, of_probe)
    if is_plain:
        assert set(of_pairs_found.values()) == {4}
        assert set(of_rows.values()) == {4}
