"""Statistics of images that are read while they are used."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clusterkit.config import Backbone, BatchNorm
from clusterkit.datasets.base import Subset
from clusterkit.datasets.stream import Stream, read_image
from clusterkit.methods.common.g_features import on_target
from clusterkit.networks import target_statistics
from clusterkit.networks.build import Architecture, SimilarityNet
from clusterkit.pairs.g import g_pairs

CPU = torch.device("cpu")
COUNT, SIZE = 20, 20
State = dict[str, Tensor]


class Counting(Stream):
    """A stream that counts how often each file is decoded."""

    read: ClassVar[Counter[str]] = Counter()

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        for index in indices:
            self.read.update(self.paths[i].name for i in index.tolist())
            yield torch.stack([read_image(self.paths[i], self.size, self.channels) for i in index.tolist()])


@pytest.fixture
def network() -> SimilarityNet:
    torch.manual_seed(0)
    return SimilarityNet(Architecture(Backbone.LENET, (1, SIZE, SIZE), (0.2,), (0.4,), 16)).eval()


@pytest.fixture
def subset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subset:
    random = np.random.default_rng(0)
    paths = tuple(tmp_path / f"{number:02d}.png" for number in range(COUNT))
    for path in paths:
        Image.fromarray(random.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)).save(path)
    monkeypatch.setattr(Counting, "read", Counter())
    monkeypatch.setattr(target_statistics, "BLOCK", 3, raising=False)
    # Several blocks, as a large set has: a block takes one pass through all layers.
    monkeypatch.setattr(Subset, "blocks", lambda self, device: self.batches(torch.arange(len(self)).split(6), device))
    return Subset("all", Counting(paths, SIZE, 1), torch.arange(COUNT), None)


def held(subset: Subset, positions: Tensor | None = None) -> Subset:
    [images] = subset.images.batches([torch.arange(COUNT) if positions is None else positions])
    Counting.read.clear()
    return Subset("all", images, torch.arange(len(images)), None)


def equal(one: State, other: State) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_each_file_is_read_once_for_the_statistics_of_all_layers(network: SimilarityNet, subset: Subset) -> None:
    expected = on_target(network, held(subset), BatchNorm.TARGET, CPU).state_dict()
    assert not equal(expected, network.state_dict())
    assert equal(on_target(network, subset, BatchNorm.TARGET, CPU).state_dict(), expected)
    assert set(Counting.read.values()) == {1}
    assert len(Counting.read) == COUNT


def test_pairs_of_a_stream_are_those_of_the_set_in_memory(network: SimilarityNet, subset: Subset) -> None:
    expected = g_pairs(network, held(subset), BatchNorm.TARGET, CPU)
    found = g_pairs(network, subset, BatchNorm.TARGET, CPU)
    assert torch.equal(found.u, expected.u)
    assert torch.equal(found.v, expected.v)
    assert set(Counting.read.values()) == {2}, "once for the statistics, once for the features"


@pytest.mark.parametrize("make", [on_target, g_pairs])
def test_of_a_stream_too_large_a_sample_is_read(
    make: Callable[..., object], network: SimilarityNet, subset: Subset, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(target_statistics.log, "info", lambda text, *values, extra: said.append(text % values))
    monkeypatch.setattr(target_statistics, "ROOM", 8 * SIZE**2 + 1, raising=False)
    make(network, subset, BatchNorm.TARGET, CPU)
    assert ["the statistics of 8 of 20 images" in line for line in said] == [True]
    first = Counter(Counting.read)
    Counting.read.clear()
    found = on_target(network, subset, BatchNorm.TARGET, CPU).state_dict()
    assert sorted(Counting.read.values()) == [1] * 8
    drawn = torch.tensor(sorted(int(Path(name).stem) for name in Counting.read))
    assert drawn.tolist() != list(range(8))
    assert equal(found, on_target(network, held(subset, drawn), BatchNorm.TARGET, CPU).state_dict())
    assert first.total() == (8 if make is on_target else 8 + COUNT)
