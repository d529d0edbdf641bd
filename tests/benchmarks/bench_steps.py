"""Whole training steps, optimiser included, against those of the authors' form of the same network.

pytest -n 0 -s tests/benchmarks/bench_steps.py
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from enumerated import EnumeratedHead, enumerated_ccl
from measure import Work, compare
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clusterkit.augment import augment, quarter_turns
from clusterkit.config import Backbone, TrainGConfig
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.losses.ccl import ccl
from clusterkit.methods.ccn import default_epochs
from clusterkit.networks.build import Architecture, ClusterNet, SimilarityNet
from clusterkit.replay import Steps, recorder_for
from clusterkit.sampling import ClassBalanced, Shuffled
from clusterkit.training import batches_of

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
B, K = 100, 100
SHAPE = (1, 32, 32)


def authors_vggs() -> nn.Module:
    """Four convolutions, each followed by normalisation, ReLU and pooling; 1,024 features of 32 x 32 pixels."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 64), (64, 128), (128, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


def training(
    network: nn.Module, loss: Callable[[Tensor], Tensor], *, fused: bool, batch: int = B
) -> Callable[[], None]:
    """Return a step: forward, backward and Adam, on one batch of images; a fused one as a training here takes it."""
    network.to(DEVICE).train()
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, fused=fused)
    x = torch.rand(batch, *SHAPE, device=DEVICE)
    recorder = recorder_for(DEVICE, 10**6)
    steps = Steps[Tensor]("step", lambda x: {"loss": loss(network(x))}, network, parameters, recorder)

    def ours() -> None:
        steps(x)
        optimizer.step()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network(x)).backward()
        optimizer.step()

    return ours if fused else step


def test_input_keeps_up(benchmark: BenchmarkFixture) -> None:
    """A step of G with its batch drawn, looked up, turned and augmented, against the same step on a batch at hand."""
    data = load_dataset("glyphs_bg", Path())
    items, labels = data.union().to(DEVICE), data.labels
    assert labels is not None
    sampler = ClassBalanced(labels, [labels.unique()], 20, 5, 10_000)
    generator = torch.Generator().manual_seed(0)
    batches = batches_of(items, sampler, generator, DEVICE)
    labels = labels.to(DEVICE)
    network = SimilarityNet(Architecture(Backbone.CONV4, SHAPE, (0.1,), (0.3,), 512)).to(DEVICE).train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def losses(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        target = labels[batch[0]]
        similar = (target[:, None] == target[None]).float()
        return {"loss": F.binary_cross_entropy_with_logits(network(batch[1]), similar)}

    steps = Steps("step", losses, network, list(network.parameters()), recorder_for(DEVICE, 10**6))

    def step(index: Tensor, x: Tensor) -> None:
        steps((index, x))
        optimizer.step()

    def ours() -> None:
        index, x = next(batches)
        step(index, augment(quarter_turns(x, 20, generator), data.kind, generator))

    at_hand = next(batches)
    compare(benchmark, f"train-g step with its input, B = {B}, against one without", ours, lambda: step(*at_hand))


def arithmetic(step: Callable[[], None], pairs: int = 0) -> Work:
    """Return the work of a step: its matrix products and convolutions, and `pairs` hidden units, forth and back."""
    with FlopCounterMode(display=False) as counted:
        step()
    return Work(counted.get_total_flops() / 2, 3 * pairs)


def g_steps(backbone: Backbone, hidden: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a step of G, ours and the authors' (VGGS, 2048 -> 4096 -> 2)."""
    labels = torch.arange(B, device=DEVICE) // 5
    similar = labels[:, None] == labels[None]
    ours = SimilarityNet(Architecture(backbone, SHAPE, (0.1,), (0.3,), hidden))
    authors = nn.Sequential(authors_vggs(), EnumeratedHead(1024, 4096))
    return (
        training(ours, lambda logits: F.binary_cross_entropy_with_logits(logits, similar.float()), fused=True),
        training(authors, lambda logits: F.cross_entropy(logits, similar.reshape(-1).long()), fused=False),
    )


def ccn_steps() -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a step of CCN: ours with pairs predicted once, the authors' with VGGS and G on each batch anew."""
    similar = (torch.rand(B, B, device=DEVICE) > 0.95).float()
    ours = ClusterNet(Architecture(Backbone.CONV4, SHAPE, (0.1,), (0.3,), 512, K))
    g = nn.Sequential(authors_vggs(), EnumeratedHead(1024, 4096)).to(DEVICE).eval()
    authors = nn.Sequential(
        authors_vggs(), nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, K)
    )  # fmt: skip
    x = torch.rand(B, *SHAPE, device=DEVICE)

    def with_g(logits: Tensor) -> Tensor:
        with torch.no_grad():
            predicted = g(x).argmax(1).view(B, B).float()
        return enumerated_ccl(logits, predicted)

    return (
        training(ours, lambda logits: ccl(logits, similar), fused=True),
        training(authors, with_g, fused=False),
    )


@pytest.mark.parametrize(
    ("backbone", "hidden"), [(Backbone.VGGS, 4096), (Backbone.VGGS, 512), (Backbone.CONV4, 512)], ids=str
)
def test_train_g_step(backbone: Backbone, hidden: int, benchmark: BenchmarkFixture) -> None:
    """G of ours, at the authors' widths and at the default, against G of the authors."""
    ours, authors = g_steps(backbone, hidden)
    title = f"train-g step, B = {B}, {backbone}, H = {hidden}"
    compare(benchmark, title, ours, authors, work=arithmetic(ours, B**2 * hidden))


def test_cluster_step(benchmark: BenchmarkFixture) -> None:
    ours, authors = ccn_steps()
    compare(benchmark, f"cluster step, B = {B}, K = {K}, conv4", ours, authors, work=arithmetic(ours))


@pytest.mark.skipif("CLUSTERKIT_DATA" not in os.environ, reason="CLUSTERKIT_DATA names no folder of real data sets")
@pytest.mark.parametrize("part", ["train-g", "cluster"])
def test_the_whole_of_omniglot(part: str, benchmark: BenchmarkFixture) -> None:
    """The steps that the defaults take on all of Omniglot, at the measured times of a step, multiplied out."""
    root = Path(os.environ["CLUSTERKIT_DATA"])
    if part == "train-g":
        ours, authors = g_steps(TrainGConfig.backbone, TrainGConfig.hidden)
        steps = TrainGConfig.epochs * (len(load_dataset("omniglot_bg", root)) * 19 // 20 // B)
    else:
        ours, authors = ccn_steps()
        samplers = [Shuffled(len(subset), B) for subset in load_dataset("omniglot_eval", root).subsets]
        steps = sum(sampler.steps * default_epochs(sampler) for sampler in samplers)
    mine, other = compare(benchmark, f"{part} step", ours, authors)
    print(f"all of Omniglot, {part}: {steps:,} steps, {steps * mine:,.0f} s against {steps * other:,.0f} s")
