"""estimate-k and --k auto on pairs by a metric, which keep the rows `z`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.hdf5 import read_hdf5, write_hdf5
from clusterkit.artifacts.json_file import read_json
from clusterkit.stages import estimate_k


def write_pairs(folder: Path, groups: int, noise: float = 0.1, seed: int = 0, **extra: float) -> Path:
    """Replace the pairs of a work folder by cosines of rows in as many groups; `extra` goes to the header."""
    path = folder / "pairs.h5"
    header, arrays = read_hdf5(path, "pairs")
    rng = np.random.default_rng(seed)
    for title, group in arrays.items():
        numbers = np.arange(len(group["id"])) % groups
        z = np.eye(groups, 20)[numbers] + noise * rng.normal(size=(len(numbers), 20))
        z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
        scale, bias = np.array([10], np.float32), np.array([-5], np.float32)
        arrays[title] = {"id": group["id"], "z": z, "scale": scale, "bias": bias}
    write_hdf5(path, replace(header, extra={**header.extra, **extra}), arrays)
    return path


@pytest.fixture
def metric(points: Path) -> Path:
    """A work folder with pairs by a metric of seven groups, and a clustering that was made from other pairs."""
    write_pairs(points, 7)
    (points / "k.json").unlink()
    return points


def test_pairs_by_a_metric_need_no_clustering(metric, cli):
    done = cli("estimate-k --json")
    assert done.code == 0, done.err
    fields = json.loads(done.out)
    assert (fields["recommended"], fields["estimator"], fields["warnings"]) == ({"all": 7}, "communities", [])
    assert fields["estimates"]["all"]["spread"] == 0
    header, content = read_json(metric / "k.json", "k")
    assert set(header.inputs) == {"pairs"}
    assert content["recommended"] == {"all": 7}
    assert cli("inspect clusterkit-out/k.json").code == 0
    done = cli("estimate-k --assignments assignments.h5")
    assert done.code == 3
    assert "assignments.h5: was not made from" in done.err


def test_k_auto_estimates_from_the_pairs_alone(metric, cli):
    line = "cluster synthetic:blobs --k auto --method kmeans"
    done = cli(line)
    assert done.code == 0, done.err
    assert "estimating K first (--k auto), from the pairs alone" in done.err
    assert not (metric / "over-clustered").exists()
    assert read_assignments(metric / "assignments.h5")[1]["all"].k == 7
    assert "estimating K" not in cli(line).err
    write_pairs(metric, 3)
    assert cli(line).code == 0
    assert read_assignments(metric / "assignments.h5")[1]["all"].k == 3


def test_disagreement_and_a_single_group_are_said(metric, cli):
    write_pairs(metric, 1, noise=1)
    assert "these pairs show one category only" in cli("estimate-k").err


def test_the_share_of_the_resolution_is_that_of_g(metric, cli, monkeypatch):
    shares = []
    monkeypatch.setattr(
        estimate_k, "count_in_sample", lambda z, seed, share: (shares.append(share) or {"communities": 4}, len(z))
    )
    assert cli("estimate-k").out == "4\n"
    write_pairs(metric, 7, counting=0.4)
    assert cli("estimate-k").out == "4\n"
    assert shares == [0.3, 0.4]


def test_k_of_another_set_is_refused(metric, cli):
    assert cli("estimate-k").code == 0
    before = (metric / "k.json").read_bytes()
    np.savez("other.npz", x=np.random.default_rng(0).normal(size=(30, 2)))
    done = cli("cluster features:other.npz --method kmeans --features pixels --k auto")
    assert done.code == 3
    assert "k.json: was estimated from synthetic:blobs, not from this content of features:other.npz" in done.err
    assert (metric / "k.json").read_bytes() == before
