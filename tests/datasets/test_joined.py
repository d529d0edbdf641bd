"""The images of several sets as those of one."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clusterkit.datasets.base import Subset
from clusterkit.datasets.joined import joined
from clusterkit.datasets.stream import Stream


def test_sets_in_memory_and_on_disk_are_read_as_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(9, 8, 8, 3), dtype=np.uint8)
    paths = tuple(tmp_path / f"{number}.png" for number in range(9))
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each).save(path)
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    parts = [Stream(paths[:3], 8, 3), whole[3:5], Stream(paths[5:], 8, 3)]
    images = joined(parts)
    assert len(images) == 9
    indices = [torch.tensor(index) for index in ([8, 0, 4], [3], [5, 1, 1, 7, 6], [2])]
    for batch, index in zip(images.batches(indices), indices, strict=True):  # type: ignore[union-attr]
        assert torch.equal(batch, whole[index])
    subset = Subset("all", images, torch.arange(9), None).to("cpu")
    assert torch.equal(torch.cat(list(subset.blocks())), whole)
    chosen = torch.tensor([6, 2, 4])
    assert torch.equal(torch.cat(list(subset.take(chosen).blocks())), whole[chosen])


def test_sets_in_memory_stay_there() -> None:
    parts = [torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.ones(3, 1, 8, 8, dtype=torch.uint8)]
    assert torch.equal(joined(parts), torch.cat(parts))  # type: ignore[arg-type]
    assert joined(parts[:1]) is parts[0]
