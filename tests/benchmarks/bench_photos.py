"""Photos: their augmentation against a grid of samples, and its share of a step of vgg-fast.

pytest -n 0 -s tests/benchmarks/bench_photos.py
"""

import pytest
import torch
import torch.nn.functional as F
from measure import compare
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from clusterkit.augment import PHOTO_SHIFT, augment
from clusterkit.config import Backbone, Kind, PretrainConfig
from clusterkit.datasets.base import Subset
from clusterkit.device import choose_device
from clusterkit.sampling import Shuffled
from clusterkit.stages.pretrain import new_network, plan_of, train, training_of

DEVICE = choose_device("auto")


def sampled(items: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored and shifted photos, by fractions of pixels, as a grid of samples gives them."""
    flip = torch.randint(2, (len(items),), generator=generator).float() * 2 - 1
    shifts = torch.empty(2, len(items)).uniform_(-2 * PHOTO_SHIFT, 2 * PHOTO_SHIFT, generator=generator)
    zero = torch.zeros(len(items))
    rows = [torch.stack([flip, zero, shifts[0]], 1), torch.stack([zero, zero + 1, shifts[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).to(items.device), list(items.shape), align_corners=False)
    return F.grid_sample(items, grid, padding_mode="reflection", align_corners=False)


@pytest.mark.parametrize(("batch", "side"), [(500, 32), (100, 224)])
def test_augmentation(batch: int, side: int, benchmark: BenchmarkFixture) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, 3, side, side, device=DEVICE)
    compare(
        benchmark, f"photos of {side} x {side}, B = {batch}, varied", lambda: augment(x, Kind.PHOTOS, generator),
        lambda: sampled(x, generator),
    )  # fmt: skip


def test_its_share_of_a_step(benchmark: BenchmarkFixture, tmp_path) -> None:
    """Two epochs of one step, the second with warm layers, against the augmentation of one batch."""
    batch, generator = 500, torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8)
    items = Subset("all", images, torch.arange(batch), None)
    config = PretrainConfig(dataset="", backbone=Backbone.VGG_FAST, epochs=1)
    training = training_of(config, Backbone.VGG_FAST, DEVICE)
    network = new_network(config, items, 0, 10, None, training.head).to(DEVICE)
    plan = plan_of(training, 1, 0, tmp_path / "state")
    labels = torch.randint(10, (batch,), device=DEVICE)

    def step() -> None:
        train(network, items.to(DEVICE), labels, Kind.PHOTOS, Shuffled(batch, batch), plan, quick=True)

    x = torch.rand(batch, 3, 32, 32, device=DEVICE)
    title = f"augmentation of {batch} photos against a training step of vgg-fast in {training.precision}"
    compare(benchmark, title, lambda: augment(x, Kind.PHOTOS, generator), step)
