"""An epoch over a folder of JPEG files, decoded once, against one that decodes them.

pytest -n 0 -s tests/benchmarks/bench_folders.py
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from measure import compare
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.datasets.decoded import Decoded
from clusterkit.datasets.stream import Stream

COUNT = 2000
B = 100


def write_photos(folder: Path, side: int, count: int = COUNT) -> tuple[Path, ...]:
    """Write pictures of coarse blotches and a little noise, which compress about as photos do."""
    random = np.random.default_rng(0)
    folder.mkdir()
    paths = tuple(folder / f"{number:04d}.jpg" for number in range(count))
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((side, side))
        noise = random.integers(-12, 13, (side, side, 3))
        Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


@pytest.mark.parametrize(("side", "size"), [(256, 224), (256, 128), (500, 224)])
def test_epoch(
    side: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: BenchmarkFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = write_photos(tmp_path / "photos", side)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))

    def epoch(stream: Stream) -> Callable[[], None]:
        def run() -> None:
            for _ in stream.batches(order.split(B)):
                pass

        return run

    kept, plain = Stream(paths, size, 3, kept=Decoded(paths, size, 3)), Stream(paths, size, 3)
    title = f"epoch of {COUNT:,} JPEG files of {side} x {side} read at {size}, B = {B}"
    compare(benchmark, title, epoch(kept), epoch(plain))
