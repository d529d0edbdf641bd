"""adapt: a classifier learned on one domain, carried to another (L2C, sections 4.3 and 5.2)."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.artifacts.assignments import Assignment, write_with_network
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import check_dataset, check_made_from, g_of, run_key
from clusterkit.augment import augment
from clusterkit.config import AdaptConfig, AdaptMethod, Context, Loss
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_dataset, load_like
from clusterkit.device import check_precision, choose_device, derive_seed, describe
from clusterkit.distributed import first_alone, is_first, share
from clusterkit.errors import InputError, UsageError
from clusterkit.losses import LOSSES
from clusterkit.networks.build import HIDDEN, Architecture, ClusterNet
from clusterkit.networks.predict import mean_and_std, predict
from clusterkit.networks.stored import state_of
from clusterkit.pairs.source import PairSource
from clusterkit.pairs.stored import from_group
from clusterkit.sampling import Endless
from clusterkit.training import Plan, StateFolder, batches_of, fit

log = logging.getLogger("clusterkit")

OUTPUT = "adapted.h5"
NETWORK = "adapted.safetensors"
EPOCH = 100
"""Steps after which the state is kept and a line is shown: with two sets there is no natural epoch."""

Batch = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class AdaptResult:
    artifact: Path
    network: Path
    dataset: str


def run(config: AdaptConfig, context: Context) -> AdaptResult:
    """Train a classifier on labelled source and unlabelled target images; write it and its view of the target.

    `source-only` minimises equation 8 on source batches alone; `ccn+` equation 7, the sum of equation 8 on the
    source part and equation 9, the pair loss, on the target part of one mixed batch. The target's labels are never
    read.
    """
    check_flags(config, context)
    device = choose_device(context.device)
    with first_alone():
        source = load_dataset(config.source, context.data, offline=context.offline)
        target = load_like(config.target, source.shape, context.data, offline=context.offline)
    if len(target.subsets) > 1:
        name, at, part = config.target.partition("@")
        names = ", ".join(f"{name}/{subset.name}{at}{part}" for subset in target.subsets)
        raise UsageError(f"data set {config.target} is several problems; adapt to one of {names}")
    labels, classes = source.numbered("adapt")
    pairs, inputs = read_target_pairs(config, context, target)
    states = StateFolder(context.path(OUTPUT), context.resume)
    fields = {"source": source.to_header(), "target": target.to_header()}
    key = run_key("adapt", resolved(config), context.seed, fields, inputs, describe(device))
    plan = Plan(
        "adapt", -(-config.steps // EPOCH), EPOCH, config.learning_rate, context.seed, states.file("adapted"), key,
        context.resume, config.precision,
    )  # fmt: skip
    network = train(config, plan, source, target, labels, pairs, device)

    extra: dict[str, Any] = {"uses_target_labels": "no", "classes": list(classes), "source": source.to_header()}
    header = Header(
        "assignments", "adapt", resolved(config), context.seed, describe(device), target.to_header(), inputs, extra
    )
    [subset] = target.subsets
    prob = predict(network, subset.to(device), device)
    assignments = {subset.name: Assignment(subset.ids.numpy(), prob.argmax(1).int().numpy(), prob.numpy())}
    networks = {"networks": {"all": network.architecture.to_header()}}
    network_header = replace(header, format="adapted", extra={**extra, **networks})
    path, network_path = context.path(OUTPUT), context.path(NETWORK)
    if is_first():
        write_with_network(path, header, assignments, network_path, network_header, state_of({"all": network}))
    states.remove()
    return AdaptResult(path, network_path, target.name)


def train(
    config: AdaptConfig, plan: Plan, source: Dataset, target: Dataset, labels: Tensor, pairs: PairSource | None,
    device: torch.device,
) -> ClusterNet:  # fmt: skip
    """Return a classifier of the source's class numbers `labels` (N,), trained by `pairs` of the target too, if any."""
    s, t = source.union().to(device), target.subsets[0].to(device)
    mean, std = mean_and_std(s)
    torch.manual_seed(derive_seed(plan.seed, "adapt"))
    outputs = int(labels.max()) + 1
    network = ClusterNet(Architecture(config.backbone, source.shape, mean, std, HIDDEN, outputs)).to(device)
    known = labels.to(device)
    pairs = None if pairs is None else pairs.to(device)
    sampler_s, sampler_t = endless(s, config.source_batch), endless(t, config.target_batch)
    loss = LOSSES[config.loss]

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        return zip(
            batches_of(s, sampler_s, generator, device), batches_of(t, sampler_t, generator, device), strict=True
        )

    def step(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        (index_s, x_s), (index_t, x_t) = batch
        own_s, own_t = share(len(index_s)), share(len(index_t))
        truth = known[index_s[own_s.rows]]
        x_s = augment(x_s, source.kind, generator, own_s)
        x_t = augment(x_t, target.kind, generator, own_t)
        if pairs is None:
            return {"classification": F.cross_entropy(network(x_s), truth) * own_s.weight}
        logits = network(torch.cat([x_s, x_t]))
        similar = (pairs.logits(index_t[own_t.rows], index_t) > 0).to(x_t)
        return {
            "classification": F.cross_entropy(logits[: len(x_s)], truth) * own_s.weight,
            "cluster": loss(logits[len(x_s) :], similar, config.sigma),
        }

    fit(network, batches, step, plan)
    return network


def check_flags(config: AdaptConfig, context: Context) -> None:
    """Raise UsageError for values that cannot be, or that the method would not use."""
    check_precision(config.precision, choose_device(context.device))
    if config.method is AdaptMethod.SOURCE_ONLY:
        for name in ("loss", "sigma", "pairs"):
            if getattr(config, name) != getattr(AdaptConfig, name):
                raise UsageError(f"--{name}: --method source-only does not use it; leave it out or use --method ccn+")
    if config.loss is not Loss.KCL and config.sigma != AdaptConfig.sigma:
        raise UsageError(f"--sigma: --loss {config.loss} has no margin; leave it out or use --loss kcl")


def endless(subset: Subset, batch_size: int) -> Endless:
    """Return a sampler of batches no larger than the set."""
    if batch_size > len(subset):
        log.info("adapt: batches of %d instead of %d, all there are", len(subset), batch_size)
    return Endless(len(subset), min(batch_size, len(subset)), EPOCH)


def read_target_pairs(
    config: AdaptConfig, context: Context, target: Dataset
) -> tuple[PairSource | None, dict[str, str]]:
    """Return the target's pairs, None where the method uses none, and the hash of their file."""
    if config.method is AdaptMethod.SOURCE_ONLY:
        return None, {}
    path = context.find(config.pairs)
    header, groups = read_hdf5(path, "pairs")
    if path.parent == context.workdir:
        check_made_from(header, path, "g", g_of(header, path))
    [subset] = target.subsets
    group = groups.get(subset.name)
    if group is None or group["id"].tolist() != subset.ids.tolist():
        raise InputError(f"{path}: has no pairs of {target.name}; run: clusterkit predict-pairs {target.name}")
    seen = tuple(header.extra["shape"])
    if seen != target.shape:
        # G saw the target in another form than the classifier does; the content must be compared in that one.
        target = load_like(config.target, seen, context.data, offline=context.offline)
    check_dataset(header, path, target.name, target.fingerprint)
    return from_group(group), {"pairs": sha256(path)}
