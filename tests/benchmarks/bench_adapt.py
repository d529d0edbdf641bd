"""Steps of each adaptation method against steps of source-only on as many images.

pytest -n 0 -s tests/benchmarks/bench_adapt.py
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from measure import compare
from pytest_benchmark.fixture import BenchmarkFixture

from clusterkit.adaptation import ADAPTATIONS, with_options
from clusterkit.adaptation.joint import Domains
from clusterkit.adaptation.training import adapt
from clusterkit.config import AdaptConfig, Backbone, Kind, Variation
from clusterkit.datasets.base import Subset
from clusterkit.networks.build import BOTTLENECK, Architecture, ClusterNet
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.training import Plan

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
N, HIDDEN, STEPS = 4000, 512, 5
CONFIG = AdaptConfig(source="s", target="t", variation=Variation.NONE)


def steps_of(config: AdaptConfig, domains: Domains, folder: Path) -> Callable[[], None]:
    network = ClusterNet(Architecture(config.backbone, (1, 32, 32), (0.1,), (0.3,), BOTTLENECK, 10))
    state = folder / f"{config.method}-{config.source_batch}.safetensors"
    plan = Plan(
        title="adapt",
        epochs=1,
        steps=STEPS,
        learning_rate=0.01,
        seed=0,
        state=state,
        key="",
        optimizer=config.optimizer,
        weight_decay=5e-4,
    )

    def run() -> None:
        adapt(network, domains, with_options(config), plan)

    return run


@pytest.mark.parametrize(
    ("method", "backbone"),
    [*((method, Backbone.DTN) for method in ADAPTATIONS), ("ccn+", Backbone.RESNET18)],
)
def test_adapt_step(method: str, backbone: Backbone, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    images = torch.randint(256, (2, N, 1, 32, 32), dtype=torch.uint8)
    source, target = (Subset("all", part, torch.arange(N), None).to(DEVICE) for part in images)
    # As of a set too large for the logits of all its pairs.
    pairs = FactoredPairs(torch.randn(N, HIDDEN), torch.randn(N, HIDDEN), torch.randn(HIDDEN), torch.zeros(()))
    labels = torch.randint(10, (N,), device=DEVICE)
    domains = Domains(source, Kind.CHARACTERS, labels, target, Kind.CHARACTERS, pairs.to(DEVICE))
    config = replace(CONFIG, method=method, backbone=backbone)
    every = config.source_batch + config.target_batch
    alone = replace(config, method="source-only", options=None, source_batch=every)
    mine, other = compare(
        benchmark, f"{STEPS} steps of {method} against source-only on {every} images, {backbone}",
        steps_of(config, domains, tmp_path), steps_of(alone, domains, tmp_path),
    )  # fmt: skip
    print(f"{mine / other:.2f} of a step of source-only")
