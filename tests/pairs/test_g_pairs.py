import copy
from pathlib import Path

import pytest
import torch

from clusterkit.augment import to_float
from clusterkit.config import Backbone, BatchNorm
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.pairs import g
from clusterkit.pairs.g import g_pairs

CPU = torch.device("cpu")
N = 12
EVERY = torch.arange(N)


@pytest.fixture
def network() -> SimilarityNet:
    torch.manual_seed(0)
    return SimilarityNet(Architecture(Backbone.LENET, (1, 20, 20), (0.2,), (0.4,), 16)).eval()


def subset(images: torch.Tensor) -> Subset:
    return Subset("all", images, torch.arange(len(images)), None)


def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (N, 1, 20, 20), dtype=torch.uint8, generator=generator)


def test_target_statistics_are_those_of_the_whole_set_as_one_batch(network: SimilarityNet) -> None:
    whole = copy.deepcopy(network).double().train()
    with torch.no_grad():
        ordered = whole(images().double() / 255)
    found = g_pairs(network, subset(images()), BatchNorm.TARGET, CPU)
    torch.testing.assert_close(found.ordered_logits(EVERY, EVERY).double(), ordered, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.logits(EVERY, EVERY).double(), (ordered + ordered.T) / 2, rtol=1e-3, atol=1e-4)


def test_source_statistics_are_the_running_ones(network: SimilarityNet) -> None:
    network.train()(torch.rand(8, 1, 20, 20))
    network.eval()
    with torch.no_grad():
        ordered = network(to_float(images()))
    found = g_pairs(network, subset(images()), BatchNorm.SOURCE, CPU)
    torch.testing.assert_close(found.ordered_logits(EVERY, EVERY), ordered, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bn", BatchNorm)
def test_blocks_and_order_do_not_matter(network: SimilarityNet, bn: BatchNorm, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = g_pairs(network, subset(images()), bn, CPU).logits(EVERY, EVERY)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    shuffled = g_pairs(network, subset(images()[order]), bn, CPU).logits(EVERY, EVERY)
    torch.testing.assert_close(shuffled, whole[order][:, order], rtol=1e-3, atol=1e-5)
    for size in (1, 5, N - 1):
        monkeypatch.setattr(Subset, "blocks", lambda self, device, size=size: self.batches(EVERY.split(size), device))
        parts = g_pairs(network, subset(images()), bn, CPU).logits(EVERY, EVERY)
        torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-5)


def test_the_network_stays_as_it_is(network: SimilarityNet) -> None:
    before = copy.deepcopy(network.state_dict())
    g_pairs(network, subset(images()), BatchNorm.TARGET, CPU)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not g_pairs(network, subset(images()), BatchNorm.TARGET, CPU).u.requires_grad


def test_factors_of_very_many_items_lie_in_files(
    network: SimilarityNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = g_pairs(network, subset(images()), BatchNorm.TARGET, CPU, tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(g, "MAPPED_FROM", N - 1)
    monkeypatch.setattr(g, "BLOCK", 5)
    found = g_pairs(network, subset(images()), BatchNorm.TARGET, CPU, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.u", "all.v"]
    assert torch.equal(found.u, expected.u)
    assert torch.equal(found.v, expected.v)
