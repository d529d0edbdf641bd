"""What a step costs against batch, outputs and processes, beside what docs/lab/scaling.md says.

pytest -n 0 -s tests/benchmarks/bench_scaling.py
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench_pairs import clear
from bench_steps import DEVICE, SHAPE, training
from measure import best_of, peak

from clusterkit.config import Backbone
from clusterkit.losses.ccl import ccl
from clusterkit.networks.build import Architecture, ClusterNet

MIB = 2**20


def test_a_cluster_step_against_its_batch() -> None:
    """Time and memory of the network grow with B; its pairs, B^2 K, are too few to be seen."""
    found = []
    for batch in (50, 100, 200, 400):
        similar = (torch.rand(batch, batch, device=DEVICE) > 0.95).float()
        network = ClusterNet(Architecture(Backbone.CONV4, SHAPE, (0.1,), (0.3,), 512, 100))
        step = training(network, lambda logits, similar=similar: ccl(logits, similar), fused=True, batch=batch)
        step()
        found.append((batch, best_of(step), peak(step)))
    for batch, seconds, memory in found:
        print(f"\ncluster step, B = {batch}: {seconds * 1e3:.0f} ms, {seconds / batch * 1e3:.2f} an image; ", end="")
        print(f"peak {memory / MIB:.0f} MiB, {memory / batch / MIB:.2f} an image", end="")


def test_ccl_against_batch_and_outputs() -> None:
    """Two products, 2 B^2 K multiply-adds, and what is done to each of B^2 pairs."""
    for batch, k in ((1024, 100), (2048, 100), (4096, 100), (8192, 100), (2048, 400), (2048, 1600)):
        logits = torch.randn(batch, k, requires_grad=True, device=DEVICE)
        similar = (torch.rand(batch, batch, device=DEVICE) > 0.9).float()

        def step(logits: torch.Tensor = logits, similar: torch.Tensor = similar) -> None:
            clear(logits)
            ccl(logits, similar).backward()

        seconds = best_of(step)
        print(f"\nCCL, B = {batch}, K = {k}: {seconds * 1e3:.0f} ms, {seconds / batch**2 * 1e9:.1f} ns a pair", end="")


@pytest.mark.parametrize("batch", [200, 800])
def test_processes_share_a_step(batch: int) -> None:
    """The same batch by one process and by two, a core each: time, and what each sends."""
    for count in (1, 2):
        words = ["-m", "torch.distributed.run", "--nproc-per-node", str(count), "--master-port", "29611"]
        done = subprocess.run(
            [sys.executable, *words, str(Path(__file__).with_name("ranks.py")), str(batch), "100"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, sent, expected = (float(word) for word in done.stdout.split())
        print(f"\nB = {batch}, {count} processes: {seconds * 1e3:.0f} ms, {sent / MIB:.2f} MiB sent; ", end="")
        print(f"by docs/lab/scaling.md {expected / MIB:.2f} MiB", end="")
