"""Small differences between values far from zero count as much as the same differences near zero."""

from pathlib import Path

import numpy as np
import pytest
import torch

import clusterkit
from clusterkit.__main__ import main
from clusterkit.config import Backbone
from clusterkit.datasets.base import Subset
from clusterkit.methods.common.points import centred
from clusterkit.metrics.clustering import accuracy
from clusterkit.networks.build import Architecture, ClusterNet
from clusterkit.networks.predict import mean_and_std, predict

RANDOM = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 20)
NEAR = 6 * np.eye(3)[Y] + RANDOM.normal(size=(60, 3))
FAR = NEAR + 1e9
SIMILAR = (Y[:, None] == Y).astype(float)


@pytest.mark.parametrize("method", ["kmeans", "spectral", "lsc", "itml", "mpckmeans", "csp", "skkm", "sklr", "skms"])
def test_methods_of_values(method: str) -> None:
    pairs = None if method in ("kmeans", "spectral", "lsc") else SIMILAR
    k = None if method == "skms" else 3
    near, far = (clusterkit.cluster(x, k=k, method=method, pairs=pairs).labels for x in (NEAR, FAR))
    assert accuracy(far, Y) == accuracy(near, Y) == 1


def test_values_near_zero_are_not_moved() -> None:
    assert centred(NEAR) is NEAR
    assert np.abs(centred(FAR).mean(0)).max() < 1e-6


def test_the_network_of_pairs() -> None:
    found = [
        clusterkit.cluster(x, k=6, method="ccn", pairs=SIMILAR, backbone="mlp", epochs=60, rounds=2).labels
        for x in (NEAR, FAR)
    ]
    np.testing.assert_array_equal(*found)
    assert accuracy(found[1], Y) == 1


def test_g_and_its_clusters() -> None:
    x = NEAR + np.random.default_rng(1).normal(size=(60, 3))
    scores = []
    for shift in (0, 1e9):
        np.savez("a.npz", x=x + shift, y=Y)
        np.savez("t.npz", x=NEAR + shift, y=Y)
        for line in (
            "train-g arrays:a.npz --backbone mlp --hidden 64 --epochs 40 --learning-rate 0.01",
            "cluster arrays:t.npz --k 6 --backbone mlp --epochs 30",
        ):
            assert main([*line.split(), "--workdir", f"{shift:g}", "--quiet"]) == 0
        clusters = clusterkit.load(Path(f"{shift:g}") / "assignments.h5")["all"]["cluster"]
        scores.append(accuracy(clusters, Y))
    assert scores[0] == scores[1] > 0.9


def test_a_new_vector_is_assigned_alike_alone_and_among_others() -> None:
    np.savez("a.npz", x=FAR, y=Y)
    assert main(["pretrain", "arrays:a.npz", "--backbone", "mlp", "--epochs", "5", "--quiet"]) == 0
    probabilities = []
    for x in (FAR, FAR[7:8], FAR[5:9] * np.array([[1], [0.5], [1], [2]])):
        np.savez("new.npz", x=x)
        assert main(["assign", "arrays:new.npz", "--model", "pretrained.safetensors", "--quiet"]) == 0
        probabilities.append(clusterkit.load("clusterkit-out/assigned.h5")["all"]["prob"])
    np.testing.assert_allclose(probabilities[1][0], probabilities[0][7], rtol=1e-5)
    np.testing.assert_allclose(probabilities[2][2], probabilities[0][7], rtol=1e-5)


def test_standardised_values_are_those_of_float64() -> None:
    subset = Subset("all", torch.from_numpy(FAR), torch.arange(60), None)
    mean, std = mean_and_std(subset)
    np.testing.assert_allclose(std, FAR.std(0), rtol=1e-6)
    network = ClusterNet(Architecture(Backbone.MLP, (3,), mean, std, 8, 4, limit=10.0))
    rows = network.standardise(subset.images)
    assert rows.dtype == torch.float32
    np.testing.assert_allclose(rows.numpy(), (NEAR - NEAR.mean(0)) / NEAR.std(0), atol=1e-5)
    assert predict(network, subset, torch.device("cpu")).dtype == torch.float32


def test_a_constant_feature_far_from_zero_is_constant() -> None:
    x = torch.tensor([1e9 + 0.1, -7e-300, 0.1], dtype=torch.float64).repeat(1777, 1)
    assert mean_and_std(Subset("all", x, torch.arange(1777), None))[1] == (1, 1, 1)
