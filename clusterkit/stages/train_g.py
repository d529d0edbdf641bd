"""train-g: trains the similarity network G on a labelled set A (L2C, section 4.1).

On fixed features, G is the features' own similarity, calibrated and corrected as far as kept-out classes of A say.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit import console
from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import RECIPE, distinct, learned_by, learned_from, run_key
from clusterkit.augment import TURNED_FROM, augment, check_variation, quarter_turns
from clusterkit.config import Backbone, BatchNorm, Context, Kind, Recipe, TrainGConfig, Variation
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import parse
from clusterkit.device import check_precision, choose_device, derive_seed, describe
from clusterkit.distributed import is_first, share
from clusterkit.errors import InputError, UsageError
from clusterkit.features.choice import has_metric, is_best_for_characters, is_fixed, with_backbone, with_training
from clusterkit.features.embed import embedded
from clusterkit.features.load import load_dataset, load_like
from clusterkit.features.models import find_models
from clusterkit.methods.common.correction import Correction, learn, plain
from clusterkit.metrics import doubts
from clusterkit.metrics.pairs import pair_scores
from clusterkit.networks.backbones import load_pretrained, members_of, suited, weights_statistics
from clusterkit.networks.build import Architecture, BackboneNet, SimilarityNet
from clusterkit.networks.new import started, untrained
from clusterkit.networks.read import read_trainable
from clusterkit.pairs.g import g_pairs
from clusterkit.reading import OWN_DATA
from clusterkit.sampling import ClassBalanced
from clusterkit.settings import Fixed
from clusterkit.states import StateFolder
from clusterkit.training import History, Plan, batches_of, fit

log = logging.getLogger("clusterkit")

OUTPUT = "g.safetensors"
HELD_OUT = 0.05
"""The share of A's classes that are not trained on, to measure G."""


@dataclass(frozen=True)
class TrainGResult:
    """`held_out` holds the scores on classes that G was not trained on, which are none in a set of fewer than ten.

    `correction` says what a correction of fixed features is worth on classes that were kept out, and `unread` why it
    read no labels, if so.
    """

    artifact: Path
    held_out: dict[str, float]
    warnings: list[str]
    correction: dict[str, Any] | None = None
    unread: str | None = None


def run(config: TrainGConfig, context: Context) -> TrainGResult:
    """Train G on all pairs of class-balanced batches, or correct fixed features, and write `g.safetensors`.

    Raises UsageError for flags that contradict each other, and InputError for a set without labels or with only one
    class.
    """
    device = choose_device(context.device)
    check_precision(config.precision, device)
    if config.unlabelled and context.reading.labels is not None:
        raise UsageError("--labels: --unlabelled reads no labels; leave one of them out")
    if has_metric(config) and config.recipe is Recipe.PAPER:
        raise UsageError(
            "--recipe paper: a metric of fixed features is not trained; leave it out, or name a backbone to train"
        )
    start, trained, inputs, learned = read_init(config, context)
    if config.init is not None:
        config = replace(config, init=Path(context.settled(str(config.init))))
    data, config = read_source(config, context, start, trained)
    if has_metric(config):
        return correct(config, context, data)
    union = data.union()
    labels = data.labels_for("train-g")
    held_out = held_out_classes(labels.unique(), context.seed)
    training = labels.masked_fill(torch.isin(labels, held_out), -1)
    assert config.epochs is not None
    assert config.learning_rate is not None

    network = new_network(config, context, union, start).to(device)
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    source_set = data.to_learned()
    plan = Plan(
        title="train-g",
        epochs=config.epochs,
        steps=max(1, int((training >= 0).sum()) // (config.classes_per_batch * config.images_per_class)),
        learning_rate=config.learning_rate,
        seed=context.seed,
        state=states.file("g"),
        key=run_key("train-g", resolved(config), context.seed, source_set, inputs, describe(device)),
        resume=context.resume,
        precision=config.precision,
    )
    history = train(network, data, labels, training, config, plan, device)
    scores = held_out_scores(network, union, labels, held_out, device)
    extra = {
        "network": network.architecture.to_header(),
        "target": data.target,
        "held_out": scores,
        "history": history,
        "learned_from": distinct(learned, learned_by(data.features), [source_set]),
    }
    if is_best_for_characters(config, data.kind):
        extra[RECIPE] = config.recipe
    header = Header("g", "train-g", resolved(config), context.seed, describe(device), data.to_header(), inputs, extra)
    if is_first():
        write_checkpoint(output, header, network.state_dict())
    states.remove()
    if not scores:
        log.info("train-g: not tested on unseen classes, because %s has fewer than ten", data.name)
    return TrainGResult(output, scores, console.warn_all(doubts.of_g(scores)))


def train(
    network: SimilarityNet,
    data: Dataset,
    labels: Tensor,
    training: Tensor,
    config: TrainGConfig,
    plan: Plan,
    device: torch.device,
) -> History:
    """Train G in place on the pairs of class-balanced batches; return the loss of each epoch.

    `labels` (N,) are those of all items, `training` (N,) the same with -1 for classes that are held out.
    """
    items, device_labels = data.union().to(device), labels.to(device)
    groups = [subset.labels.unique() for subset in data.subsets if subset.labels is not None]
    sampler = ClassBalanced(training, groups, config.classes_per_batch, config.images_per_class, plan.steps)
    if sampler.classes < config.classes_per_batch:
        log.info("train-g: batches of %d classes, because the training set has no more", sampler.classes)
    turned = data.kind is Kind.CHARACTERS and len(labels.unique()) >= TURNED_FROM
    variation = config.variation or Variation.NONE
    strong = variation is Variation.STRONG

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for number, (index, x) in enumerate(batches_of(items, sampler, generator, device)):
            # Characters of one alphabet are hardest to tell apart if all are upright.
            runs = 1 if strong and sampler.within(number) else sampler.classes
            shard = share(len(index))
            x = quarter_turns(x, runs, generator, shard) if turned else x
            yield index, augment(x, data.kind, generator, shard, variation)

    def step(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        index, x = batch
        shard = share(len(index))
        target = device_labels[index]
        logits = network.by_member(x)
        similar = (target[shard.rows, None] == target[None]).to(logits)
        return {"loss": F.binary_cross_entropy_with_logits(logits, similar.expand_as(logits)) * shard.weight}

    return fit(network, batches, step, plan)


def read_init(
    config: TrainGConfig, context: Context
) -> tuple[BackboneNet | None, dict[str, Any] | None, dict[str, str], list[dict[str, Any]]]:
    """Return the network to start from, the set it was trained on, the file's hash for `inputs`, and its labelled sets.

    All are empty without `config.init`. Raises UsageError for flags that contradict it, and InputError for a metric.
    """
    if config.init is None:
        return None, None, {}, []
    for name in ("backbone", "weights", "head", "members", "size", "pretrained"):
        if context.is_given(config, name):
            raise UsageError(f"--{name}: --init takes it from the file; leave one of them out")
    if config.unlabelled:
        raise UsageError("--unlabelled: --init starts a training, which learns from labels; leave one of them out")
    path = context.find(str(config.init))
    header, start = read_trainable(path)
    return start, header.dataset, {"init": sha256(path)}, learned_from(header, path)


def read_source(
    config: TrainGConfig, context: Context, start: BackboneNet | None, trained: dict[str, Any] | None
) -> tuple[Dataset, TrainGConfig]:
    """Return A's labelled items, as images or features, and the settings with the backbone and head for them.

    Images have the shape that `start` reads and the polarity of the set it was trained on. Raises UsageError for a flag
    that A rules out.
    """
    if start is not None:
        data = load_like(config.dataset, start.architecture.shape, context, trained)
        config = with_training(config, data.kind)
    else:
        data, config = read_for(config, context)
    if config.size is not None and not is_fixed(config) and len(data.shape) != 3:
        raise UsageError(f"--size: {data.name} holds vectors; leave it out")
    check_variation(config.variation or Variation.NONE, data.kind, data.name)
    if parse(config.dataset).source in OWN_DATA and is_best_for_characters(config, data.kind):
        network = "" if start is not None else f"backbone {config.backbone}, size {config.size}, "
        console.once(
            "%s holds grey pictures, which are taken for characters: %sepochs %d (--recipe paper takes the settings of "
            "the papers)", data.name, network, config.epochs,
        )  # fmt: skip
    return (data if config.unlabelled else data.labelled()), config


def read_for(config: TrainGConfig, context: Context) -> tuple[Dataset, TrainGConfig]:
    """Return A in the form that the backbone reads, and the settings with this backbone."""
    name, is_typed = parse(config.dataset), config.backbone is not None
    kind = None if name.source in OWN_DATA else name.entry.kind
    # Flags are checked before a large set is read. Only their content shows the kind of the user's own data.
    config = with_backbone(config, name.full, kind, context)
    is_open = config.backbone is None or (kind is None and config.size is None)

    def read(*, whole: bool) -> Dataset:
        # A fixed backbone reads the pictures as they are, and ImageNet weights need colour images.
        size, channels = None if whole else config.size, 3 if config.pretrained else None
        return load_dataset(config.dataset, context, size=size, channels=channels, whole=whole)

    data = read(whole=is_open or is_fixed(config))
    config = with_backbone(config, data.name, data.kind, context)
    if is_fixed(config):
        return with_backbones(data, config, context, is_typed=is_typed), config
    if is_open and data.kind is not Kind.VECTORS:
        data = read(whole=False)
    return data, config if has_metric(config) else suited(config, data.shape, typed=is_typed)


def with_backbones(data: Dataset, config: TrainGConfig, context: Context, *, is_typed: bool) -> Dataset:
    """Return a set of images with the features of the fixed backbones."""
    assert isinstance(config.backbone, Fixed)
    try:
        models = find_models(config.backbone, config.weights, context, config.size)
    except (UsageError, InputError) as error:
        if is_typed:
            raise
        kind = UsageError if isinstance(error, UsageError) else InputError
        raise kind(f"{error}; --backbone {Backbone.CONV4} trains a network") from error
    return embedded(data, models, context)


def correct(config: TrainGConfig, context: Context, data: Dataset) -> TrainGResult:
    """Write the G of fixed features: their own similarity, corrected as far as kept-out classes of A say.

    With fewer than three classes, or without labels, nothing is learned from labels, and the calibration needs none.
    """
    items = torch.cat(list(data.union().blocks())).numpy()
    labels = None if config.unlabelled else data.labels
    unread = "--unlabelled is set" if config.unlabelled else "it has none" if labels is None else None
    if labels is not None:
        data.labels_for("train-g")
    seed = derive_seed(context.seed, "train-g") % 2**32
    correction = plain(items, seed) if labels is None else learn(items, labels.numpy(), seed)
    summary = correction.summary()
    network = metric_of(correction)
    extra = {
        "network": network.architecture.to_header(),
        "target": data.target,
        "held_out": {},
        "correction": summary,
        "learned_from": distinct(learned_by(data.features), [data.to_learned()] if correction.is_learned else []),
    }
    output = context.path(OUTPUT)
    header = Header("g", "train-g", resolved(config), context.seed, "cpu", data.to_header(), {}, extra)
    if is_first():
        write_checkpoint(output, header, network.state_dict())
    return TrainGResult(output, {}, [], summary, unread)


def metric_of(correction: Correction) -> SimilarityNet:
    """Return the G of a correction of features."""
    count, width = correction.matrix.shape
    # Float64 features are centred and scaled before they are narrowed.
    mean, std = tuple(correction.centre.tolist()), (correction.spread,) * count
    network = SimilarityNet(Architecture(None, (count,), mean, std, 0, width=width))
    # Without labels there is no covariance within classes, which G holds as zeros.
    within = correction.within if correction.is_learned else np.zeros((count, count))
    values = {
        "backbone.centre": np.zeros(count), "backbone.matrix": correction.matrix, "head.within": within,
        "head.scale": correction.scale, "head.bias": correction.bias, "head.form": correction.form,
        "head.labelled": correction.is_learned,
    }  # fmt: skip
    network.load_state_dict({name: torch.as_tensor(value, dtype=torch.float32) for name, value in values.items()})
    return network


def new_network(config: TrainGConfig, context: Context, items: Subset, start: BackboneNet | None) -> SimilarityNet:
    """Return an untrained G, which standardises by the mean and standard deviation of A.

    With ImageNet weights or a `start` network, it keeps their standardisation.
    """
    seed = derive_seed(context.seed, "train-g")
    if start is not None:
        return started(SimilarityNet, start, seed, hidden=config.hidden)
    # Fixed features have passed their backbone already.
    backbone = config.backbone if isinstance(config.backbone, Backbone) else Backbone.MLP
    statistics = weights_statistics(backbone) if config.pretrained else None
    network = untrained(
        SimilarityNet, backbone, items, seed, hidden=config.hidden, members=config.members, statistics=statistics
    )
    if config.pretrained:
        for member in members_of(network.backbone):
            load_pretrained(member, backbone, offline=context.offline)
    return network


def held_out_classes(present: Tensor, seed: int) -> Tensor:
    """Return the classes to measure G on: a twentieth, but at least two; none if A has fewer than ten."""
    if len(present) < 10:
        return present[:0]
    generator = torch.Generator().manual_seed(derive_seed(seed, "held out"))
    count = max(2, round(HELD_OUT * len(present)))
    return present[torch.randperm(len(present), generator=generator)[:count]]


def held_out_scores(
    network: SimilarityNet, items: Subset, labels: Tensor, held_out: Tensor, device: torch.device
) -> dict[str, float]:
    """Return pair precision and recall on the held-out classes, with batch-norm statistics of their items."""
    positions = torch.isin(labels, held_out).nonzero()[:, 0]
    if not len(positions):
        return {}
    return pair_scores(g_pairs(network, items.take(positions), BatchNorm.TARGET, device), labels[positions])
