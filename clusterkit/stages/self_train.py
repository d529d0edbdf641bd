"""self-train: trains G further on the unlabelled set T, with groups of its own predicted pairs as classes."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import (
    ALONE,
    RECIPE,
    check_dataset,
    distinct,
    follows_recipe,
    learned_from,
    run_key,
    target_of,
)
from clusterkit.augment import TURNED_FROM, augment, quarter_turns
from clusterkit.config import (
    CHARACTERS_FILE,
    Backbone,
    BatchNorm,
    Context,
    Kind,
    Recipe,
    SelfTrainConfig,
    Variation,
)
from clusterkit.console import duration, warn_all
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_like, load_recorded
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import check_precision, choose_device, describe
from clusterkit.distributed import first_alone, is_first, share
from clusterkit.errors import InputError, UsageError
from clusterkit.methods.common import sample
from clusterkit.methods.common.consensus import consensus
from clusterkit.metrics import doubts
from clusterkit.metrics.k_estimates import cut, linkage_tree
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.read import read_g
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.g import check_has_pairs, g_pairs
from clusterkit.pairs.tiles import every_logit
from clusterkit.sampling import ClassBalanced
from clusterkit.states import StateFolder
from clusterkit.training import History, Plan, batches_of, fit

log = logging.getLogger("clusterkit")

OUTPUT = "self-trained.safetensors"
CLASSES, IMAGES = 20, 5
"""Groups or classes in a batch, and images per group or class."""
LABELLED = 0.3
"""The share of batches from A; its labels are true, so G does not only confirm its own predictions."""
PASSES = 3
"""Images of T in the batches of a round, as a multiple of the images that are grouped."""
ALIKE, UNLIKE = 0.6, 0.4
"""Two groups are one class from a mean consensus of ALIKE on, and different classes below UNLIKE. Pairs of groups in
between are not learned, because G would keep a wrong answer."""
RANGE = (0.8, 1.6)
"""The numbers of groups in the consensus, as shares of the likely number. They are rather too large, because two
characters that are learned as one never separate again."""
SMALLEST = 3
"""The fewest images in a group to learn; smaller groups are unusual drawings."""
SECONDS = (0.0022, 0.0078)
"""Time per round and grouped image for a G by the best recipe, on two cores with AVX-512 and on two slow ones."""


@dataclass(frozen=True)
class SelfTrainResult:
    artifact: Path
    dataset: str
    warnings: list[str]


@dataclass(frozen=True)
class Part:
    """A source of batches: items and their classes or groups (N,), -1 for none.

    Pairs of items with different `classes` but the same number in `families` (N,) are not learned. With `turned`, each
    class of a batch is turned by a random multiple of 90 degrees.
    """

    items: Subset
    classes: Tensor
    families: Tensor
    alphabets: Sequence[Tensor]
    kind: Kind
    turned: bool = False

    @property
    def count(self) -> int:
        """Return the number of classes."""
        return int((self.classes.unique() >= 0).sum())


Batch = tuple[Part, Tensor, Tensor]
"""The part, the positions (B,) of all items of the batch, and this process's share of the items."""


def run(config: SelfTrainConfig, context: Context) -> SelfTrainResult:
    """Train G further, on T and on A, and write `self-trained.safetensors`, a G like any other.

    In each round the images of every subset of T are grouped by the consensus of G's pairs, and the groups taken for
    classes. No label of T is read, and for the G of the program no A. Raises InputError where A, which G's header
    names, has changed since, and where G finds nothing alike in T.
    """
    device = choose_device(context.device)
    check_precision(config.precision, device)
    path = context.find(config.g)
    if path == context.path(OUTPUT):
        raise UsageError(f"--g {config.g}: self-train writes this file; name another G, or give more --rounds")
    header, network = read_g(path)
    name = target_of(header, config.dataset)
    shape = network.architecture.shape
    if network.architecture.backbone is None or header.dataset.get("features"):
        raise UsageError(f"--g {config.g}: fixed features are not trained; cluster without self-train")
    with first_alone():
        target = load_like(
            name, shape, context.data, offline=context.offline, reading=context.reading, trained=header.dataset
        )
        source = learned_set(header, path, context)
    check_has_pairs(target, name)
    source_set = None if source is None else source.to_learned()
    learned = distinct(learned_from(header, path), [] if source_set is None else [source_set])
    warn_of_training({"G": learned}, target.to_header())
    warnings = warn_all(doubts.of_kind(path, target.kind, target.title))
    if device.type == "cpu" and network.architecture.backbone is Backbone.CONV4_FINE:
        log.info("self-train: %s", time_of(target, config.rounds))
    config = replace(config, dataset=target.name, g=context.settled(config.g))
    network.to(device)
    labelled = None if source is None else labelled_part(source, device)
    inputs = {"g": sha256(path)}
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    plan = plan_of(config, context, target, source_set, inputs, device, states.file("g"))
    variation = Variation(header.config.get("variation") or Variation.MILD)
    history = train(network, labelled, target, variation, plan, device)
    extra = {
        "network": network.architecture.to_header(),
        "target": header.extra.get("target"),
        "self_trained_on": target.to_header(),
        **({ALONE: True} if source is None else {}),
        "history": history,
        "learned_from": learned,
    }
    if follows_recipe(header):
        extra[RECIPE] = Recipe.BEST
    new_header = Header(
        "g", "self-train", resolved(config), context.seed, describe(device), header.dataset, inputs, extra
    )
    if is_first():
        write_checkpoint(output, new_header, network.state_dict())
    states.remove()
    return SelfTrainResult(output, target.name, warnings)


def in_groups(target: Dataset) -> int:
    """Return how many images of T are grouped in a round."""
    return sum(min(len(subset), sample.LARGEST) for subset in target.subsets)


def time_of(target: Dataset, rounds: int) -> str:
    """Return how long the training of a G by the best recipe takes."""
    images = in_groups(target)
    lengths = (duration(max(1, seconds * rounds * images)) for seconds in SECONDS)
    rounds_of = "1 round" if rounds == 1 else f"{rounds} rounds"
    return f"{rounds_of} with {images} images take {' to '.join(dict.fromkeys(lengths))} on two cores"


def plan_of(
    config: SelfTrainConfig, context: Context, target: Dataset, source: dict[str, Any] | None, inputs: dict[str, str],
    device: torch.device, state: Path,
) -> Plan:  # fmt: skip
    """Return the training plan: rounds of PASSES passes over the images of T that are grouped."""
    settings = resolved(replace(config, automatic=False))
    return Plan(
        title="self-train",
        epochs=config.rounds,
        steps=max(1, round(PASSES * in_groups(target) / ((1 - LABELLED) * CLASSES * IMAGES))),
        learning_rate=config.learning_rate,
        seed=context.seed,
        state=state,
        key=run_key("self-train", settings, context.seed, target.to_header(), source, inputs, describe(device)),
        resume=context.resume,
        precision=config.precision,
    )


def train(
    network: SimilarityNet, labelled: Part | None, target: Dataset, variation: Variation, plan: Plan,
    device: torch.device,
) -> History:  # fmt: skip
    """Train G in place on the groups that it finds in T in each round, and on A if it has one; return the losses."""

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        parts = [grouped(network, subset.to(device), target.kind, generator, device) for subset in target.subsets]
        log_groups(target, parts)
        for part, index, x in mixed(labelled, parts, plan.steps, generator, device):
            shard = share(len(index))
            turned = quarter_turns(x, len(index) // IMAGES, generator, shard) if part.turned else x
            yield part.classes[index], part.families[index], augment(turned, part.kind, generator, shard, variation)

    def step(batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        classes, families, x = batch
        shard = share(len(classes))
        return {"loss": pair_loss(network.by_member(x), classes, families, shard.rows) * shard.weight}

    return fit(network, batches, step, plan)


def learned_set(header: Header, path: Path, context: Context) -> Dataset | None:
    """Return A, or None for the G of the program, which gives the same result on machines with and without A.

    Raises InputError where A is missing or has changed since.
    """
    if path == CHARACTERS_FILE:
        log.info("self-train: the G of the program learns the groups alone, without labelled pictures")
        return None
    source = load_recorded(header.dataset, context, path).labelled()
    check_dataset(header, path, source.name, source.fingerprint)
    return source


def labelled_part(source: Dataset, device: torch.device) -> Part:
    """Return A with its labels. Raises InputError if A has no labels any more."""
    labels = source.labels
    if labels is None:
        raise InputError(
            f"data set {source.name} has no labels any more, which self-train learns too; restore them or train G again"
        )
    alphabets = [subset.labels.unique() for subset in source.subsets if subset.labels is not None]
    turned = source.kind is Kind.CHARACTERS and len(labels.unique()) >= TURNED_FROM
    classes = labels.to(device)
    return Part(source.union().to(device), classes, classes, alphabets, source.kind, turned)


def grouped(
    network: SimilarityNet, subset: Subset, kind: Kind, generator: torch.Generator, device: torch.device
) -> Part:
    """Return a subset with the groups that the present G's pairs form among at most LARGEST random items."""
    pairs = g_pairs(network, subset, BatchNorm.TARGET, device)
    assert isinstance(pairs, FactoredPairs)
    chosen = torch.randperm(len(subset), generator=generator)[: sample.LARGEST]
    seed = int(torch.randint(2**31, (), generator=generator))
    tree = linkage_tree(consensus(every_logit(pairs.of(chosen)).double().numpy(), seed, RANGE))
    classes, families = (torch.full((len(subset),), -1) for _ in range(2))
    classes[chosen], families[chosen] = (torch.from_numpy(cut(tree, level)) for level in (ALIKE, UNLIKE))
    _, group, sizes = classes.unique(return_inverse=True, return_counts=True)
    classes[sizes[group] < SMALLEST] = -1
    return Part(subset, classes.to(device), families.to(device), [], kind)


def pair_loss(logits: Tensor, classes: Tensor, families: Tensor, rows: slice) -> Tensor:
    """Return the mean cross-entropy of the members' `logits` (M, R, B) of items in `rows` and of all.

    `classes` and `families` (B,) are those of all items. Pairs of unknown similarity count in the mean with a loss of
    zero.
    """
    similar, related = (numbers[rows, None] == numbers for numbers in (classes, families))
    is_known = (similar | ~related).to(logits)
    return F.binary_cross_entropy_with_logits(logits, similar.to(logits).expand_as(logits), is_known)


def log_groups(target: Dataset, parts: Sequence[Part]) -> None:
    """Log the groups of a round. Raises InputError if no subset has two groups."""
    counts = [part.count for part in parts]
    if max(counts) < 2:
        raise InputError(
            f"{target.name}: G is not sure of any two groups of images; train G for longer, or on a set that is more "
            "like this one"
        )
    grouped_share = sum(int((part.classes >= 0).sum()) for part in parts) / len(target)
    log.info("self-train: %d groups of %.0f %% of the images", sum(counts), 100 * grouped_share)


def mixed(
    labelled: Part | None, grouped: Sequence[Part], steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[Batch]:
    """Yield the batches of a round, each from a random part: from A with probability LABELLED, others by size."""
    # A single class has no dissimilar pairs to learn from.
    sizes = torch.tensor([float(len(part.items) * (part.count > 1)) for part in grouped])
    parts, weights = grouped, sizes / sizes.sum()
    if labelled is not None:
        parts = [labelled, *grouped]
        weights = torch.cat([torch.tensor([LABELLED]), (1 - LABELLED) * sizes / sizes.sum()])
    order = torch.multinomial(weights, steps, replacement=True, generator=generator).tolist()
    batches = []
    for number, part in enumerate(parts):
        sampler = ClassBalanced(part.classes.cpu(), part.alphabets, CLASSES, IMAGES, order.count(number))
        batches.append(batches_of(part.items, sampler, generator, device))
    for number in order:
        yield parts[number], *next(batches[number])
