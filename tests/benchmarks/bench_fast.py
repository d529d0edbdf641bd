"""Accuracy on CIFAR-10's ten classes by seconds of training: vgg-fast beside VGG8 and a ResNet-18, in one run.

Each network is trained as `pretrain` trains it, for as many epochs as fit in the budget, in a row:

python tests/benchmarks/bench_fast.py --budget 2400

A network of which not even one epoch fits is trained on as many batches as do. Evaluation is not counted. Accuracies
on the way are those of every fifth test image, that at the end is of all.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from clusterkit.config import Backbone, Kind, Precision, PretrainConfig, cache_folder
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import choose_device
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import predict
from clusterkit.sampling import Endless, Shuffled
from clusterkit.stages.pretrain import Training, new_network, plan_of, train, training_of

NETWORKS = (Backbone.VGG_FAST, Backbone.VGG8, Backbone.PREACTRESNET18)
TIMED = 5
"""Batches by which the time of an epoch is estimated, beside one more."""


def read(root: Path, name: str, images: int | None) -> tuple[Subset, Tensor]:
    """Return a set, or some random images of it, and their labels."""
    data = load_dataset(name, root)
    labels, _ = data.numbered("pretrain")
    chosen = torch.arange(len(data))
    if images is not None:
        chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:images].sort().values
    return data.union().take(chosen), labels[chosen]


def accuracy(network: ClusterNet, items: Subset, labels: Tensor, device: torch.device) -> float:
    return (predict(network, items.to(device), device).argmax(1) == labels).float().mean().item()


def measure(
    backbone: Backbone, precision: Precision | None, budget: float, sets: list[tuple[Subset, Tensor]],
    device: torch.device,
) -> None:  # fmt: skip
    """Train a network within a budget of seconds, and print a row for each epoch."""
    (items, labels), (test, test_labels) = sets
    config = PretrainConfig(dataset="", backbone=backbone, precision=precision)
    training = training_of(config, backbone, device)
    batch = min(training.batch_size, len(items))
    on_device = items.to(device), labels.to(device), Kind.PHOTOS

    def trained(training: Training, sampler: Shuffled | Endless, shown: bool) -> float:
        """Return the seconds of a training, without those of its evaluations."""
        network = new_network(config, items, 0, 10, None, training.head).to(device)
        seconds, started = 0.0, time.perf_counter()

        def after(epoch: int) -> None:
            nonlocal seconds, started
            seconds += time.perf_counter() - started
            if shown:
                fifth = torch.arange(0, len(test), 1 if epoch == training.epochs else 5)
                found = accuracy(network, test.take(fifth), test_labels[fifth], device)
                passes = epoch * sampler.steps * batch / len(items)
                print(f"| {backbone} | {training.precision} | {passes:.2f} | {seconds:.0f} | {found:.4f} |", flush=True)
            started = time.perf_counter()

        with tempfile.TemporaryDirectory() as folder:
            plan = plan_of(training, sampler.steps, 0, Path(folder) / "state")
            train(network, *on_device, sampler, plan, quick=training.quick, after=after)
        return seconds

    # The first training of a process pays once for what later ones find prepared, so its time does not count.
    _, one, several = (
        trained(replace(training, epochs=1), Endless(len(items), batch, n), False) for n in (1, 1, 1 + TIMED)
    )
    a_step, steps = (several - one) / TIMED, -(-len(items) // batch)
    epochs = int(budget / (a_step * steps))
    sampler = Shuffled(len(items), batch) if epochs else Endless(len(items), batch, max(1, int(budget / a_step)))
    trained(replace(training, epochs=max(1, epochs)), sampler, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=2400, help="seconds of training for each network")
    parser.add_argument("--network", action="append", type=Backbone, help="a backbone; may be repeated")
    parser.add_argument("--precision", type=Precision, help="number format of all; by default that of each network")
    parser.add_argument("--images", type=int, help="train on so many random images only")
    arguments = parser.parse_args()
    root = Path(os.environ.get("CLUSTERKIT_DATA", cache_folder()))
    sets = [read(root, "cifar10_train", arguments.images), read(root, "cifar10_test", None)]
    print("| network | precision | epochs | seconds of training | accuracy |\n| --- | --- | --- | --- | --- |")
    for backbone in arguments.network or NETWORKS:
        measure(backbone, arguments.precision, arguments.budget, sets, choose_device("auto"))


if __name__ == "__main__":
    main()
