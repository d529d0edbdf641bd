"""What is on the device at one time does not grow with the number of subsets."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from clusterkit.methods import function_of
from clusterkit.methods.common import solve
from clusterkit.methods.common.problem import Clustering
from clusterkit.networks.build import BackboneNet
from clusterkit.pairs import from_file
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tile_log import half_tiles
from clusterkit.stages import assign
from tests.conftest import LETTERS, Cli

Sent = weakref.WeakSet


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator["Sent[BackboneNet]"]:
    """The networks that were sent to a device, are still used, and have not come back to the CPU."""
    found: Sent[BackboneNet] = Sent()
    to, cpu = BackboneNet.to, BackboneNet.cpu

    def spied_to(network: BackboneNet, *device: Any, **form: Any) -> BackboneNet:
        if device:
            found.add(network)
        return to(network, *device, **form)

    def spied_cpu(network: BackboneNet) -> BackboneNet:
        found.discard(network)
        return cpu(network)

    monkeypatch.setattr(BackboneNet, "to", spied_to)
    monkeypatch.setattr(BackboneNet, "cpu", spied_cpu)
    # What all tests before have left takes long to look through, and has none of these networks.
    gc.collect()
    gc.freeze()
    yield found
    gc.unfreeze()


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("ccn", "cluster --k 5 --epochs 1 --backbone mlp"),
        ("ccn", "cluster --k 5 --epochs 1 --init g"),
        ("kmeans", "cluster --k 5 --method kmeans --features ccn"),
        ("kmeans", "cluster --k 5 --method kmeans --features g"),
    ],
)
def test_cluster_has_the_networks_of_one_subset_there(
    method: str, line: str, letters: Path, cli: Cli, sent: "Sent[BackboneNet]", monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = function_of(method), []

    def spied(*asked: Any) -> Clustering:
        gc.collect()
        seen.append((len(sent), method))
        result = real(*asked)
        assert isinstance(result, Clustering)
        return result

    monkeypatch.setattr(solve, "function_of", lambda name: spied)
    done = cli(line)
    assert done.code == 0, done.err
    gc.collect()
    assert [count for count, _ in [*seen, (len(sent), "")]] == [0] * 4


def test_assign_has_one_network_there(
    letters: Path, cli: Cli, sent: "Sent[BackboneNet]", monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = assign.choose_network, []

    def spied(*given: Any) -> Any:
        seen.append(len(sent))
        return real(*given)

    monkeypatch.setattr(assign, "choose_network", spied)
    assert cli(f"assign {LETTERS}").code == 0
    assert seen == [0] * 3


def test_predict_pairs_has_the_factors_of_one_subset_there(
    letters: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    to = FactoredPairs.to

    def spied_to(pairs: FactoredPairs, device: torch.device | str) -> FactoredPairs:
        events.append("sent")
        return to(pairs, device)

    def spied_tiles(pairs: FactoredPairs) -> Iterator[Any]:
        yield from half_tiles(pairs)
        events.append("written")

    monkeypatch.setattr(FactoredPairs, "to", spied_to)
    monkeypatch.setattr(from_file, "half_tiles", spied_tiles)
    assert cli(f"predict-pairs {LETTERS}").code == 0
    assert events == ["sent", "written"] * 3
