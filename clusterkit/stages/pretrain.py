"""pretrain: trains a classifier of a labelled set for its backbone (L2C, section 5.1.2; CCL, appendix A)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import run_key
from clusterkit.augment import augment
from clusterkit.config import Backbone, Context, Kind, Optimizer, Precision, PretrainConfig
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import check_precision, choose_device, derive_seed, describe, quick_precision
from clusterkit.distributed import first_alone, is_first, share
from clusterkit.errors import UsageError
from clusterkit.networks.backbones import suited
from clusterkit.networks.build import HIDDEN, ClusterNet
from clusterkit.networks.new import untrained
from clusterkit.networks.read import state_of
from clusterkit.networks.typical import typical_of
from clusterkit.sampling import Sampler, Shuffled
from clusterkit.training import History, Plan, StateFolder, batches_of, fit

OUTPUT = "pretrained.safetensors"
SMOOTHING = 0.2
"""The share of the target probability that a quick training spreads over all classes."""
SCALE = 1 / 9
"""The factor of the outputs in a quick training, which keeps the last layer from learning faster than the others."""
WEIGHT_DECAY = 1e-3
"""The weight decay of a quick training by gradient descent."""


@dataclass(frozen=True)
class Training:
    """The training of a classifier: settings that can be typed, and whether it is quick.

    A quick one has label smoothing, scaled outputs, Nesterov's momentum, weight decay, a slow average of the weights
    and, on photos, mirror images that alternate by epoch, as Jordan's airbench for CIFAR-10 has.
    """

    epochs: int = 30
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: Optimizer = Optimizer.ADAM
    precision: Precision = Precision.FP32
    quick: bool = False


TYPED = ("epochs", "batch_size", "learning_rate", "optimizer", "precision")


def training_of(config: PretrainConfig, device: torch.device) -> Training:
    """Return the training that suits a backbone on a device, with the settings that were typed."""
    training = Training()
    if config.backbone is Backbone.VGG_FAST:
        training = Training(10, 500, 0.5, Optimizer.SGD, quick_precision(device), quick=True)
    values = {name: getattr(config, name) for name in TYPED}
    return replace(training, **{name: value for name, value in values.items() if value is not None})


def settled(config: PretrainConfig, device: torch.device) -> PretrainConfig:
    """Return the settings as the header has them, with those of the training in place of None."""
    training = training_of(config, device)
    return replace(config, **{name: getattr(training, name) for name in TYPED})


@dataclass(frozen=True)
class PretrainResult:
    artifact: Path
    classes: int


def run(config: PretrainConfig, context: Context) -> PretrainResult:
    """Train a classifier by cross entropy on random batches and write `pretrained.safetensors`.

    Raises InputError for a set without labels or with only one class.
    """
    device = choose_device(context.device)
    check_precision(config.precision or Precision.FP32, device)
    with first_alone():
        data = load_dataset(
            config.dataset, context.data, offline=context.offline, reading=context.reading, size=config.size
        ).labelled()
    if config.size is not None and len(data.shape) != 3:
        raise UsageError(f"--size: {data.name} holds vectors; leave it out")
    config = suited(config, data.shape, typed=context.is_given(config, "backbone"))
    training = training_of(config, device)
    config = settled(config, device)
    labels, classes = data.numbered("pretrain")
    union = data.union()
    seed = derive_seed(context.seed, "pretrain")
    network = untrained(ClusterNet, config.backbone, union, seed, hidden=HIDDEN, outputs=len(classes)).to(device)
    sampler = Shuffled(len(union), min(training.batch_size, len(union)))
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    learned = data.to_learned()
    plan = replace(
        plan_of(training, sampler.steps, context.seed, states.file("pretrained")),
        key=run_key("pretrain", resolved(config), context.seed, learned, describe(device)),
        resume=context.resume,
        drop_every=config.drop_every,
    )
    history = train(network, union.to(device), labels.to(device), data.kind, sampler, plan, quick=training.quick)

    extra: dict[str, Any] = {
        "networks": {"all": network.architecture.to_header()},
        "classes": list(classes),
        "history": history,
        "learned_from": [learned],
    }
    header = Header(
        "pretrained", "pretrain", resolved(config), context.seed, describe(device), data.to_header(), extra=extra
    )
    if is_first():
        typical = typical_of(network, union.to(device), device)
        write_checkpoint(output, header, {**state_of({"all": network}), **typical.tensors("all")})
    states.remove()
    return PretrainResult(output, len(classes))


def plan_of(training: Training, steps: int, seed: int, state: Path) -> Plan:
    """Return the plan of a training with `steps` batches in an epoch."""
    descent = training.quick and training.optimizer is Optimizer.SGD
    return Plan(
        title="pretrain",
        epochs=training.epochs,
        steps=steps,
        learning_rate=training.learning_rate,
        seed=seed,
        state=state,
        key="",
        precision=training.precision,
        optimizer=training.optimizer,
        weight_decay=WEIGHT_DECAY if descent else 0.0,
        nesterov=descent,
        slow=training.quick,
    )


def train(
    network: ClusterNet,
    items: Subset,
    labels: Tensor,
    kind: Kind,
    sampler: Sampler,
    plan: Plan,
    *,
    quick: bool = False,
    after: Callable[[int], None] | None = None,
) -> History:
    """Train a classifier in place on items and labels on its device; return the loss of each epoch."""
    scale, smoothing = (SCALE, SMOOTHING) if quick else (1.0, 0.0)
    mirrors = Mirrors(len(items), plan.seed, labels.device)

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of(items, sampler, generator, labels.device)

    def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        index, x = batch
        shard = share(len(index))
        own = index[shard.rows]
        logits = network(augment(x, kind, generator, shard, flipped=mirrors.of(own) if quick else None))
        loss = F.cross_entropy(logits * scale, labels[own], label_smoothing=smoothing)
        return {"loss": loss * shard.weight}

    history = fit(network, batches, step, plan, after, mirrors.turn)
    with torch.no_grad():
        for weights in network.head[-1].parameters():
            weights.mul_(scale)
    return history


class Mirrors:
    """Which of N photos are mirrored: a random half in one epoch, the others in the next, and so on."""

    def __init__(self, count: int, seed: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(derive_seed(seed, "mirrors"))
        self.first = (torch.randint(2, (count,), generator=generator) == 1).to(device)
        self.epoch = 0

    def turn(self, epoch: int) -> None:
        self.epoch = epoch

    def of(self, index: Tensor) -> Tensor:
        """Return whether the photos at positions (B,) are mirrored in this epoch."""
        return self.first[index] ^ (self.epoch % 2 == 1)
