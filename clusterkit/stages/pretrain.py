"""pretrain: trains a classifier of a labelled set for its backbone (L2C, section 5.1.2; CCL, appendix A)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import run_key
from clusterkit.augment import augment
from clusterkit.config import Context, Kind, PretrainConfig
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import check_precision, choose_device, derive_seed, describe
from clusterkit.distributed import first_alone, is_first, share
from clusterkit.errors import UsageError
from clusterkit.networks.backbones import suited
from clusterkit.networks.build import HIDDEN, Architecture, ClusterNet
from clusterkit.networks.predict import limit_of, mean_and_std
from clusterkit.networks.read import state_of
from clusterkit.networks.typical import typical_of
from clusterkit.sampling import Shuffled
from clusterkit.training import History, Plan, StateFolder, batches_of, fit

OUTPUT = "pretrained.safetensors"


@dataclass(frozen=True)
class PretrainResult:
    artifact: Path
    classes: int


def run(config: PretrainConfig, context: Context) -> PretrainResult:
    """Train a classifier by cross entropy on random batches and write `pretrained.safetensors`.

    Raises InputError for a set without labels or with only one class.
    """
    device = choose_device(context.device)
    check_precision(config.precision, device)
    with first_alone():
        data = load_dataset(
            config.dataset, context.data, offline=context.offline, reading=context.reading, size=config.size
        ).labelled()
    if config.size is not None and len(data.shape) != 3:
        raise UsageError(f"--size: {data.name} holds vectors; leave it out")
    config = suited(config, data.shape, typed=context.is_given(config, "backbone"))
    labels, classes = data.numbered("pretrain")
    union = data.union()
    mean, std = mean_and_std(union)
    torch.manual_seed(derive_seed(context.seed, "pretrain"))
    architecture = Architecture(
        config.backbone, data.shape, mean, std, HIDDEN, len(classes), limit=limit_of(data.shape)
    )
    network = ClusterNet(architecture).to(device)
    sampler = Shuffled(len(union), min(config.batch_size, len(union)))
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    learned = data.to_learned()
    plan = Plan(
        title="pretrain",
        epochs=config.epochs,
        steps=sampler.steps,
        learning_rate=config.learning_rate,
        seed=context.seed,
        state=states.file("pretrained"),
        key=run_key("pretrain", resolved(config), context.seed, learned, describe(device)),
        resume=context.resume,
        precision=config.precision,
        optimizer=config.optimizer,
        drop_every=config.drop_every,
    )
    history = train(network, union.to(device), labels.to(device), data.kind, sampler, plan)

    extra: dict[str, Any] = {
        "networks": {"all": architecture.to_header()},
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


def train(network: ClusterNet, items: Subset, labels: Tensor, kind: Kind, sampler: Shuffled, plan: Plan) -> History:
    """Train a classifier in place on items and labels on its device; return the loss of each epoch."""

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of(items, sampler, generator, labels.device)

    def step(batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        index, x = batch
        shard = share(len(index))
        logits = network(augment(x, kind, generator, shard))
        return {"loss": F.cross_entropy(logits, labels[index[shard.rows]]) * shard.weight}

    return fit(network, batches, step, plan)
