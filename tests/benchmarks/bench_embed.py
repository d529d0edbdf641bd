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

from clusterkit.config import Context, Precision, cache_folder
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import choose_device, multiplying
from clusterkit.features.embed import BATCH, USUAL_BATCH, embedded
from clusterkit.features.models import find_models
from clusterkit.settings import Fixed
from tests.features.weights_of import weights_of

DEVICE = choose_device("auto")
IS_GPU = DEVICE.type == "cuda"
COUNT, DISTINCT = (2048, 64) if IS_GPU else (256, 256)
"""Pictures, and how many differ by more than bytes that no decoder reads."""
LEAST = 0.8
"""The least throughput on a CPU as a share of that of the bare loop. A GPU waits for the decoding of pictures."""
LITE = "tf_efficientnet_lite0"


@pytest.mark.parametrize("side", [256, 640])
@pytest.mark.parametrize("name", [LITE, "vit_base_patch16_224"] if IS_GPU else [LITE])
def test_throughput(name: str, side: int, real_data: Path, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    weights = () if name == LITE else (weights_of(name, tmp_path / "weights.safetensors"),)
    [model] = find_models(Fixed((f"timm:{name}",)), weights, Context(data=real_data, offline=True))
    folder = tmp_path / "photos"
    write_photos(folder, side, DISTINCT)
    for number in range(DISTINCT, COUNT):
        data = (folder / f"{number % DISTINCT:04d}.jpg").read_bytes()
        (folder / f"{number:04d}.jpg").write_bytes(data + number.to_bytes(2, "big"))
    photos = load_dataset("folder:photos", tmp_path, whole=True)
    decoded = torch.stack([model.prepare(Image.open(file).convert("RGB")) for file in sorted(folder.iterdir())])
    decoded = decoded.contiguous(memory_format=torch.channels_last)
    batches = decoded.split(BATCH.get(DEVICE.type, USUAL_BATCH))
    network = model.build().to(DEVICE).to(memory_format=torch.channels_last)

    def ours() -> None:
        shutil.rmtree(cache_folder() / "features", ignore_errors=True)
        embedded(photos, [model], Context())

    def bare() -> None:
        with torch.inference_mode(), multiplying(Precision.FP32):
            for batch in batches:
                network(batch.to(DEVICE)).cpu()

    mine, other = compare(benchmark, f"embedding {COUNT} JPEG files of {side} x {side} by {name}", ours, bare)
    print(f"{COUNT / mine:.0f} pictures a second, {other / mine:.2f} of the bare loop")
    assert IS_GPU or other / mine > LEAST
