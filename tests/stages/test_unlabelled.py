"""Sets of which some items are unlabelled: what learns from labels, or scores by them, does so by the labelled ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.methods import METHODS
from clusterkit.methods.common.declared import Reads
from tests.conftest import Cli

OUT = Path("clusterkit-out")
TINY = "--backbone mlp --epochs 1"
ALL_PAIRS = [name for name, method in METHODS.items() if method.pairs is Reads.PROBABILITIES]


@pytest.fixture
def sets(cli: Cli) -> None:
    """Write `partly.npz`, a third of it unlabelled, `labelled.npz`, the rest of it, and another `target.npz`."""
    rng = np.random.default_rng(0)
    y = np.arange(54) % 3
    x = (4 * np.eye(3)[y] + rng.normal(size=(54, 3)) * 0.3).astype(np.float32)
    known = np.arange(54) // 3 % 3 > 0
    np.savez("partly.npz", x=x, y=np.where(known, y, -1))
    np.savez("labelled.npz", x=x[known], y=y[known])
    np.savez("target.npz", x=x + 0.1, y=np.where(known, y, -1))


def done(cli: Cli, line: str) -> str:
    result = cli(line)
    assert result.code == 0, result.err
    return result.err


def weights(name: str) -> dict[str, torch.Tensor]:
    return load_file(OUT / f"{name}.safetensors")


TRAINING = {
    "g": [f"train-g arrays:SET {TINY} --hidden 8"],
    "pretrained": [f"pretrain arrays:SET {TINY}"],
    "self-trained": [
        "train-g arrays:SET --backbone mlp --hidden 32 --learning-rate 0.01 --epochs 60",
        "self-train arrays:target.npz --rounds 1",
    ],
    "adapted": ["adapt arrays:SET arrays:target.npz --method source-only --steps 1 --backbone mlp"],
}


@pytest.mark.parametrize("name", TRAINING)
def test_only_labelled_items_are_learned_from(name: str, cli: Cli, sets: None) -> None:
    made, lines = [], TRAINING[name]
    for data in ("partly.npz", "labelled.npz"):
        said = "".join(done(cli, line.replace("SET", data)) for line in lines)
        assert said.count("partly.npz: 18 of 54 items are unlabelled") == (len(lines) if data == "partly.npz" else 0)
        made.append(weights(name))
    assert all(torch.equal(made[1][key], value) for key, value in made[0].items())


def test_a_g_is_tried_on_labelled_items_of_the_source(cli: Cli, sets: None) -> None:
    done(cli, f"train-g arrays:labelled.npz {TINY} --hidden 8")
    done(cli, "predict-pairs arrays:target.npz")
    said = done(cli, "adapt arrays:partly.npz arrays:target.npz --steps 1 --backbone mlp")
    assert "on 36 items of arrays:partly.npz" in said


def test_one_class_beside_unlabelled_items_is_one_class(cli: Cli) -> None:
    np.savez("a.npz", x=np.eye(4), y=np.array([1, -1, 1, -1]))
    for command in ("train-g", "pretrain"):
        result = cli(f"{command} arrays:a.npz --backbone mlp")
        assert (result.code, result.out) == (3, "")
        assert "arrays:a.npz has one class only" in result.err.splitlines()[-1]


@pytest.mark.parametrize("pairs", ["labels", "simulated:1,1"])
def test_pairs_of_unlabelled_items_are_unknown(pairs: str, cli: Cli, sets: None) -> None:
    found = []
    line = f"cluster arrays:partly.npz --pairs {pairs} --k known"
    for method in ("csp", "ccn --backbone mlp --epochs 1"):
        done(cli, f"{line} --method {method}")
        groups = read_assignments(OUT / "assignments.h5")[1]
        assert groups["all"].prob.shape == (54, 3), "-1 is no class to count"
        found.append(groups["all"].cluster)
    assert (found[0][:3] == found[0][9:12]).all(), "unlabelled items follow the values"
    for method in ALL_PAIRS:
        result = cli(
            f"cluster arrays:partly.npz --pairs {pairs} --method {method}{'' if METHODS[method].finds_k else ' --k 3'}"
        )
        assert (result.code, result.out) == (3, "")
        assert "needs all pairs, and 18 items of arrays:partly.npz are unlabelled" in result.err.splitlines()[-1]


def test_scores_are_of_the_labelled_items(cli: Cli, sets: None) -> None:
    done(cli, "cluster arrays:partly.npz --method kmeans --k 3")
    result = cli("evaluate --json")
    assert "all: 18 items are unlabelled and left out of the scores" in result.err
    fields = json.loads(result.out)
    assert fields["mean"] == {"acc": 1, "nmi": 1, "ari": 1, "ndc": 3, "adif": 0, "clusters": 3, "classes": 3}
    assert fields["unlabelled"] == json.loads((OUT / "evaluation.json").read_text())["unlabelled"] == {"all": 18}
    done(cli, "cluster arrays:labelled.npz --method kmeans --k 3")
    assert "unlabelled" not in json.loads(cli("evaluate --json").out)


def test_classes_of_unlabelled_items_are_not_confused(cli: Cli, sets: None) -> None:
    done(cli, f"pretrain arrays:labelled.npz {TINY}")
    done(cli, "assign arrays:partly.npz --model pretrained.safetensors")
    fields = json.loads(cli("evaluate --assignments assigned.h5 --json").out)
    rows = fields["confusion"]["all"]
    assert {true: sum(given.values()) for true, given in rows.items()} == {"0": 12, "1": 12, "2": 12}
    assert fields["mean"]["accuracy"] == pytest.approx(sum(given.get(true, 0) for true, given in rows.items()) / 36)


def test_g_is_scored_by_pairs_of_labelled_items(cli: Cli, sets: None) -> None:
    """Of a set with two unlabelled copies of every item, G's pairs are those of the set, and so are its scores."""
    done(cli, f"train-g arrays:labelled.npz {TINY} --hidden 8")
    x, y = (np.load("labelled.npz")[name] for name in "xy")
    np.savez("copies.npz", x=np.tile(x, (3, 1)), y=np.concatenate([y, np.full(2 * len(y), -1)]))
    scores = []
    for data in ("labelled.npz", "copies.npz"):
        result = cli(f"evaluate --g g.safetensors arrays:{data} --ways 3 --ways 4 --episodes 40 --json")
        assert result.code == 0, result.err
        assert "--ways 4 is left out: " in result.err
        assert ("all: 72 items are unlabelled" in result.err) == (data == "copies.npz")
        scores.append(json.loads(result.out)["mean"])
    assert scores[0] == pytest.approx(scores[1])
