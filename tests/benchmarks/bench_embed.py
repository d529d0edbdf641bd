"""The embedding of a folder of photos, decoding and keeping included, against a bare loop over decoded tensors.

pytest -n 0 -s tests/benchmarks/bench_embed.py
"""

import shutil
from pathlib import Path

import pytest
import torch
from bench_folders import write_photos
from measure import compare
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.config import Context, cache_folder
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import choose_device
from clusterkit.features.embed import BATCH, USUAL_BATCH, embedded
from clusterkit.features.models import find_models
from clusterkit.settings import Fixed

COUNT = 256
LEAST = 0.8
"""The least throughput as a share of that of the bare loop."""


@pytest.mark.parametrize("side", [256, 640])
def test_throughput(side: int, real_data: Path, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    [model] = find_models(Fixed(("timm:tf_efficientnet_lite0",)), (), Context(data=real_data, offline=True))
    write_photos(tmp_path / "photos", side, COUNT)
    data = load_dataset("folder:photos", tmp_path, whole=True)
    device = choose_device("auto")
    files = sorted((tmp_path / "photos").iterdir())
    decoded = torch.stack([model.prepare(Image.open(file).convert("RGB")) for file in files])
    decoded = decoded.contiguous(memory_format=torch.channels_last)
    batches = decoded.split(BATCH.get(device.type, USUAL_BATCH))
    network = model.build().to(device).to(memory_format=torch.channels_last)

    def ours() -> None:
        shutil.rmtree(cache_folder() / "features", ignore_errors=True)
        embedded(data, [model], Context())

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                network(batch.to(device)).cpu()

    mine, other = compare(benchmark, f"embedding {COUNT} JPEG files of {side} x {side}", ours, bare)
    print(f"{COUNT / mine:.0f} pictures a second, {other / mine:.2f} of the bare loop")
    assert other / mine > LEAST
