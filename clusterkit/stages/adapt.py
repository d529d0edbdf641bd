"""adapt: transfers a classifier from one domain to another (L2C, sections 4.3 and 5.2)."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clusterkit.adaptation import ADAPTATIONS, with_options
from clusterkit.adaptation.joint import Domains
from clusterkit.adaptation.network import check_maps, new_network, tell_of_blocks
from clusterkit.adaptation.training import adapt
from clusterkit.artifacts.assignments import Assignment, write_with_network
from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import (
    again,
    check_made_from,
    distinct,
    g_of,
    learned_by,
    learned_from,
    run_key,
)
from clusterkit.augment import check_variation
from clusterkit.config import PAIRS_FILE, AdaptConfig, BatchNorm, Context, Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.grown import DIGEST, check_content, name_digest
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import check_precision, choose_device, derive_seed, describe
from clusterkit.distributed import is_first
from clusterkit.errors import InputError, UsageError
from clusterkit.features.embed import embedded
from clusterkit.features.load import load_dataset, load_like
from clusterkit.features.models import Model, find_models
from clusterkit.metrics.doubts import is_chance
from clusterkit.metrics.label_free import confidence, pair_agreement
from clusterkit.metrics.pairs import pair_scores
from clusterkit.networks.build import ClusterNet
from clusterkit.networks.predict import predict
from clusterkit.networks.read import read_g, state_of
from clusterkit.networks.typical import typical_of
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.g import g_pairs
from clusterkit.pairs.read import shape_of
from clusterkit.pairs.source import PairSource
from clusterkit.reading import Reading
from clusterkit.settings import Fixed, options_of
from clusterkit.states import StateFolder
from clusterkit.training import Plan

log = logging.getLogger("clusterkit")

OUTPUT = "adapted.h5"
NETWORK = "adapted.safetensors"
EPOCH = 100
"""The largest number of steps in an epoch; with two data sets there is no natural epoch."""
WEIGHT_DECAY = 5e-4
PRETRAINED_RATE = 0.1
"""The learning rate of a backbone with pretrained weights, as a share of the rate of new layers."""
SAMPLE = 1000
"""The number of source images on which G is tested."""


@dataclass(frozen=True)
class AdaptResult:
    """`diagnostics` are signs of success that need no label of the target."""

    artifact: Path
    network: Path
    dataset: str
    diagnostics: dict[str, float]


def run(config: AdaptConfig, context: Context) -> AdaptResult:
    """Train a classifier on labelled source and unlabelled target images; write it and its classes of the target.

    Training does not read the target's labels. If the target has labels, its classes must have the names of the
    source's. Raises UsageError for settings that the method does not use, and InputError for files or data that are
    missing or do not match.
    """
    config = with_options(config)
    check_flags(config, context)
    device = choose_device(context.device)
    models = fixed_models(config, context)
    source, target = read_domains(config, context, models)
    labels, classes = source.numbered("adapt")
    check_classes(source, target, classes)
    pairs, pairs_header, g_path, inputs = read_target_pairs(config, context, target)
    if ADAPTATIONS[config.method].pairs:
        warn_of_chance(g_path, config, context, device)
    network, start, weights = new_network(config, context, models, source, len(classes))
    inputs |= weights
    extra: dict[str, Any] = {
        **origins(config, context, source, target, pairs_header),
        "classes": list(classes), "source": source.to_header(), "weights": start,
    }  # fmt: skip
    header = Header(
        "assignments", "adapt", resolved(config), context.seed, describe(device), target.to_header(), inputs, extra
    )
    states = StateFolder(context.path(OUTPUT), context.resume)
    plan = plan_of(config, context, header, states.file("adapted"))
    device_pairs = None if pairs is None else pairs.to(device)
    domains = Domains(
        at_hand(source, "source", config.source_batch, device), source.kind, labels.to(device),
        at_hand(target, "target", config.target_batch, device), target.kind, device_pairs,
    )  # fmt: skip

    if config.fine_tune is not None:
        tell_of_blocks(network.to(device), domains.source, domains.target, config, plan.epochs * plan.steps, device)

    def keep(epoch: int) -> None:
        path = context.path(NETWORK).with_stem(f"{Path(NETWORK).stem}-{epoch * plan.steps}")
        write_checkpoint(path, of_network(header, network, steps=epoch * plan.steps), state_of({"all": network}))

    history = adapt(network, domains, config, plan, keep if config.snapshots and is_first() else None)

    prob = predict(network, domains.target, device)
    diagnostics = confidence(prob)
    if pairs is not None:
        diagnostics["agreement"] = pair_agreement(pairs, prob.argmax(1), derive_seed(context.seed, "agreement"))
    log.info("adapt: %s", " ".join(f"{name} {value:.4f}" for name, value in diagnostics.items()))
    header = replace(header, extra={**extra, "diagnostics": diagnostics})
    assignment = Assignment(
        domains.target.ids.numpy(), prob.argmax(1).int().numpy(), prob.numpy(), name_digest(target, target.subsets[0])
    )
    path, network_path = context.path(OUTPUT), context.path(NETWORK)
    if is_first():
        write_with_network(
            path, header, {target.subsets[0].name: assignment},
            network_path, of_network(header, network, history=history),
            {**state_of({"all": network}), **typical_of(network, domains.target, device).tensors("all")},
        )  # fmt: skip
    states.remove()
    return AdaptResult(path, network_path, target.name, diagnostics)


def origins(
    config: AdaptConfig, context: Context, source: Dataset, target: Dataset, pairs_header: Header | None
) -> dict[str, Any]:
    """Return the header members on the sets whose labels were learned; warn if the target is one of them."""
    forms, learned = [target.to_header()], {"the classifier": [*learned_by(source.features), source.to_learned()]}
    if pairs_header is not None and ADAPTATIONS[config.method].pairs:
        forms.append(pairs_header.dataset)
        learned["G"] = learned_from(pairs_header, context.find(config.pairs or PAIRS_FILE.name))
    return {
        "uses_target_labels": warn_of_training(learned, *forms), "learned_from": distinct(*reversed(learned.values())),
    }  # fmt: skip


def plan_of(config: AdaptConfig, context: Context, header: Header, state: Path) -> Plan:
    """Return the training plan of the run in a header: epochs of equal length, of at most EPOCH steps."""
    fields = {"learned_from": header.extra["learned_from"], "target": header.dataset}
    key = run_key("adapt", header.config, header.seed, fields, header.inputs, header.device)
    epochs = -(-config.steps // EPOCH)
    return Plan(
        title="adapt",
        epochs=epochs,
        steps=-(-config.steps // epochs),
        learning_rate=config.learning_rate,
        seed=context.seed,
        state=state,
        key=key,
        resume=context.resume,
        precision=config.precision,
        optimizer=config.optimizer,
        weight_decay=WEIGHT_DECAY,
        backbone_rate=PRETRAINED_RATE if "weights" in header.inputs or config.fine_tune else 1.0,
    )


def of_network(header: Header, network: ClusterNet, **more: Any) -> Header:
    """Return the header of the network's file, with `more` fields."""
    networks = {"all": network.architecture.to_header()}
    return replace(header, format="adapted", extra={**header.extra, "networks": networks, **more})


def check_flags(config: AdaptConfig, context: Context) -> None:
    """Raise UsageError for invalid settings, and for settings that the method does not use."""
    check_precision(config.precision, choose_device(context.device))
    options = options_of(ADAPTATIONS, config.method, config.options)
    options.check(config, lambda name: context.is_given(options, name))
    is_fixed = isinstance(config.backbone, Fixed)
    if config.weights and not is_fixed:
        raise UsageError("--weights: belongs to fixed backbones; name them with --backbone timm:NAME, or leave it out")
    if is_fixed and context.is_given(config, "pretrained"):
        raise UsageError(f"--pretrained: {config.backbone} has weights of its own; leave it out")
    if config.fine_tune is not None and not (isinstance(config.backbone, Fixed) and len(config.backbone.names) == 1):
        raise UsageError("--fine-tune: trains one fixed backbone; name it with --backbone timm:NAME, or leave it out")


def fixed_models(config: AdaptConfig, context: Context) -> tuple[Model, ...]:
    """Return the fixed backbones, without the blocks that are trained; none for a backbone of another kind."""
    if not isinstance(config.backbone, Fixed):
        return ()
    models = find_models(config.backbone, config.weights, context, config.size)
    return models if config.fine_tune is None else tuple(model.without_last(config.fine_tune) for model in models)


def read_domains(config: AdaptConfig, context: Context, models: tuple[Model, ...]) -> tuple[Dataset, Dataset]:
    """Return the labelled items of the source, and the target in the shape of the source's items.

    With fixed backbones both are sets of their features; with `--fine-tune`, of what the trained blocks read.
    """
    context_s = replace(context, reading=labelled(context.reading))
    context_t = replace(context, reading=context.reading.unlabelled)
    if models:
        pictures = load_dataset(config.source, context_s, whole=True)
        if pictures.kind is Kind.VECTORS:
            raise UsageError(
                f"--backbone {config.backbone}: reads images, but {pictures.name} holds vectors; leave it out"
            )
        check_variation(config.variation, Kind.VECTORS, "a set of features")
        both = pictures.labelled(), load_dataset(config.target, context_t, whole=True)
        if config.fine_tune is not None:
            check_maps(models, sum(map(len, both)), config.fine_tune)
        source, target = (embedded(data, models, context) for data in both)
    else:
        source = load_dataset(config.source, context_s, size=config.size).labelled()
        if config.size is not None and len(source.shape) != 3:
            raise UsageError(f"--size: {source.name} holds vectors; leave it out")
        target = load_like(
            config.target, source.shape, context, source.to_header(), reading=context_t.reading, beside=source.title
        )
    for data in (source, target):
        check_variation(config.variation, data.kind, data.name)
    if len(target.subsets) > 1:
        name, at, classes = config.target.partition("@")
        names = ", ".join(f"{name}/{subset.name}{at}{classes}" for subset in target.subsets)
        raise UsageError(f"data set {config.target} has several subsets, adapt takes one; name one of {names}")
    return source, target


def labelled(reading: Reading) -> Reading:
    """Return how the source is read: as the target, but with the labels of a file or of its class folders."""
    return reading if reading.labels is not None else replace(reading, flat=False)


def check_classes(source: Dataset, target: Dataset, classes: tuple[str, ...]) -> None:
    """Raise InputError if the target has labels and its classes have other names than those of the source."""
    if target.labels is None:
        return
    target_classes = target.present_classes()
    only_s, only_t = sorted(set(classes) - set(target_classes)), sorted(set(target_classes) - set(classes))
    if only_s or only_t:
        raise InputError(
            f"{source.name} and {target.name} have different classes ({listed(only_s)} only in the first, "
            f"{listed(only_t)} only in the second); "
            "adapt needs the same classes: select them with @, or find new ones with cluster"
        )


def listed(names: list[str]) -> str:
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first or "none"


def at_hand(data: Dataset, part: str, batch_size: int, device: torch.device) -> Subset:
    """Return all items of a data set on the device; log it if they are fewer than a batch."""
    if batch_size > len(data):
        log.info(
            "adapt: %s batches of %d instead of %d, because the set has no more items", part, len(data), batch_size
        )
    return data.union().to(device)


def read_target_pairs(
    config: AdaptConfig, context: Context, target: Dataset
) -> tuple[PairSource | None, Header | None, Path | None, dict[str, str]]:
    """Return the target's pairs, their header, the path of their G if it is beside them, and their hash as an input.

    All are empty if the method reads no pairs and `--pairs` names none.
    """
    name = config.pairs
    if name is None:
        if not ADAPTATIONS[config.method].pairs:
            return None, None, None, {}
        name = PAIRS_FILE.name
    path = context.find(name)
    header, groups = read_hdf5(path, "pairs")
    g_path = g_of(header, path)
    if path.parent == context.workdir:
        check_made_from(header, path, "g", g_path)
    [subset] = target.subsets
    group = groups.get(subset.name)
    if group is None or group["id"].tolist() != subset.ids.tolist():
        raise InputError(
            f"{path}: has no pairs of {target.name}; run: {again(header, path, target.name, target.reading)}"
        )
    g_shape = shape_of(header, path)
    features, inverted = header.dataset.get("features", []), header.dataset.get("inverted")
    if g_shape != target.shape or inverted != target.inverted or features != list(target.features):
        # G read the target in another form, and the fingerprint depends on it.
        target = load_like(config.target, g_shape, context, header.dataset, reading=context.reading.unlabelled)
    check_content(header, path, target, (group.get(DIGEST) for group in groups.values()))
    is_same_g = g_path.exists() and sha256(g_path) == header.inputs.get("g")
    return from_group(group), header, g_path if is_same_g else None, {"pairs": sha256(path)}


def warn_of_chance(g_path: Path | None, config: AdaptConfig, context: Context, device: torch.device) -> None:
    """Warn if G predicts pairs of the source no better than chance, because then its target pairs will be as bad.

    All processes must call it, because they may embed the source together.
    """
    if g_path is None:
        return
    header, network = read_g(g_path)
    source = load_like(
        config.source, network.architecture.shape, context, header.dataset, reading=labelled(context.reading)
    ).labelled()
    items = source.union()
    chosen = torch.randperm(len(items), generator=torch.Generator().manual_seed(context.seed))[:SAMPLE]
    labels = source.labels_for("adapt")[chosen]
    pairs = g_pairs(network, items.take(chosen), BatchNorm.TARGET, device)
    scores = pair_scores(pairs, labels)
    if not is_first():
        return
    log.info(
        "adapt: on %d items of %s, G finds %.2f of the similar pairs and %.2f of the dissimilar ones",
        len(labels), source.name, scores["similar_recall"], scores["dissimilar_recall"],
    )  # fmt: skip
    if is_chance(scores):
        log.warning(
            "%s is hardly better than chance on %s, so its pairs of %s will hardly help; "
            "train G on a set that is more like both",
            g_path, source.name, config.target,
        )  # fmt: skip
