"""pretrain: trains a classifier for its backbone, of the classes of a labelled set or of the rotations of any images.

Classes: L2C, section 5.1.2; CCL, appendix A. Rotations: Gidaris, Singh and Komodakis 2018 (RotNet), equations 2 and 3;
Han et al. 2020 (AutoNovel), section 3.1, learn them on the labelled and the unlabelled images together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import distinct, learned_by, learned_from, run_key
from clusterkit.augment import augment
from clusterkit.config import Backbone, Context, Kind, Optimizer, Precision, PretrainConfig
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.joined import joined
from clusterkit.datasets.overlap import overlap
from clusterkit.device import check_precision, choose_device, derive_seed, describe, quick_precision
from clusterkit.distributed import is_first, share
from clusterkit.errors import InputError, UsageError
from clusterkit.features.load import load_dataset, load_like
from clusterkit.networks.backbones import suited
from clusterkit.networks.build import HIDDEN, BackboneNet, ClusterNet
from clusterkit.networks.groups import check_groups
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.new import started, untrained
from clusterkit.networks.read import read_trainable, state_of
from clusterkit.networks.typical import typical_of
from clusterkit.sampling import Sampler, Shuffled
from clusterkit.settings import Task
from clusterkit.states import StateFolder
from clusterkit.training import History, Plan, batches_of, fit

OUTPUT = "pretrained.safetensors"
TURNS = 4
"""The number of rotations of an image by multiples of 90 degrees."""
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

    @property
    def head(self) -> HeadKind:
        """Return the kind of head: a linear one makes the features tell the classes apart by themselves."""
        return HeadKind.LINEAR if self.quick else HeadKind.HIDDEN


TYPED = ("epochs", "batch_size", "learning_rate", "optimizer", "precision")


def training_of(config: PretrainConfig, backbone: Backbone | None, device: torch.device) -> Training:
    """Return the training that suits a backbone on a device, with the settings that were typed."""
    training = Training()
    if backbone is Backbone.VGG_FAST:
        training = Training(10, 250, 0.5, Optimizer.SGD, quick_precision(device), quick=True)
    if config.optimizer not in (None, training.optimizer):
        # The learning rate of a recipe is meant for its own optimizer.
        training = replace(training, learning_rate=Training.learning_rate)
    values = {name: getattr(config, name) for name in TYPED}
    return replace(training, **{name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class PretrainResult:
    """`classes` is the number of classes that were learned, None for rotations."""

    artifact: Path
    classes: int | None


@dataclass(frozen=True)
class Start:
    """The backbone that a training starts from, and what its file tells; all empty without a file."""

    network: BackboneNet | None = None
    dataset: dict[str, Any] | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    learned: list[dict[str, Any]] = field(default_factory=list)


def run(config: PretrainConfig, context: Context) -> PretrainResult:
    """Train a classifier by cross entropy on random batches and write `pretrained.safetensors`.

    Raises UsageError for flags that contradict each other, and for vectors, which have no rotations. Raises InputError
    for sets of different kinds and, if classes are learned, for a set without labels or with only one class.
    """
    device = choose_device(context.device)
    check_precision(config.precision or Precision.FP32, device)
    check_flags(config, context)
    start = read_init(config, context)
    if config.init is not None:
        config = replace(config, init=Path(context.settled(str(config.init))))
    sets = read_sets(config, context, start)
    data = sets[0]
    if start.network is None:
        config = suited(config, data.shape, typed=context.is_given(config, "backbone"))
    labels, classes = data.numbered("pretrain") if config.task is Task.CLASSES else (None, None)
    items = union_of(sets)
    seed, outputs = derive_seed(context.seed, "pretrain"), TURNS if classes is None else len(classes)
    backbone = config.backbone if start.network is None else start.network.architecture.backbone
    training = training_of(config, backbone, device)
    network = new_network(config, items, seed, outputs, start.network, training.head).to(device)
    items = items.to(device)
    sampler = Shuffled(len(items), min(training.batch_size, len(items)))
    output = context.path(OUTPUT)
    states = StateFolder(output, context.resume)
    contents = [each.to_learned() if labels is not None else each.to_header() for each in sets]
    plan = replace(
        plan_of(training, sampler.steps, context.seed, states.file("pretrained")),
        key=run_key(
            "pretrain", resolved(config), resolved(training), context.seed, contents, start.inputs, describe(device)
        ),
        resume=context.resume,
        drop_every=config.drop_every,
    )
    extra = origins(sets, classes, start)
    extra["history"] = train(network, items, labels, data.kind, sampler, plan, quick=training.quick)
    extra |= {"networks": {"all": network.architecture.to_header()}, "training": resolved(training)}
    header = Header(
        "pretrained", "pretrain", resolved(config), context.seed, describe(device),
        data.to_header(), start.inputs, extra,
    )  # fmt: skip
    if is_first():
        state = state_of({"all": network})
        if classes is not None:
            state |= typical_of(network, items, device).tensors("all")
        write_checkpoint(output, header, state)
    states.remove()
    return PretrainResult(output, None if classes is None else len(classes))


def origins(sets: Sequence[Dataset], classes: tuple[str, ...] | None, start: Start) -> dict[str, Any]:
    """Return the header members on the sets that were read and those whose labels were learned.

    `classes` are those that were learned, None if only rotations were.
    """
    read = learned_by(sets[0].features)
    if classes is None:
        extra: dict[str, Any] = {"learned_from": distinct(start.learned, read)}
    else:
        extra = {"learned_from": distinct(start.learned, read, [sets[0].to_learned()]), "classes": list(classes)}
    return extra | ({"others": [other.to_header() for other in sets[1:]]} if len(sets) > 1 else {})


def check_flags(config: PretrainConfig, context: Context) -> None:
    """Raise UsageError for flags that contradict each other."""
    if config.task is Task.CLASSES and config.others:
        raise UsageError(
            f"{config.others[0]}: --task classes learns the classes of one set; leave out the others, or learn without "
            "labels with --task rotation"
        )
    if config.task is Task.ROTATION and context.reading.labels is not None:
        raise UsageError("--labels: --task rotation reads no labels; leave one of them out")
    if config.init is None and config.fine_tune is not None:
        raise UsageError("--fine-tune: trains a part of the backbone of --init; name its file, or leave it out")
    for name in ("backbone", "size"):
        if config.init is not None and context.is_given(config, name):
            raise UsageError(f"--{name}: --init takes it from the file; leave one of them out")


def read_init(config: PretrainConfig, context: Context) -> Start:
    """Read the file of `--init`. Raises InputError if it holds no backbone that can be trained."""
    if config.init is None:
        return Start()
    path = context.find(str(config.init))
    header, network = read_trainable(path)
    return Start(network, header.dataset, {"init": sha256(path)}, learned_from(header, path))


def read_sets(config: PretrainConfig, context: Context, start: Start) -> list[Dataset]:
    """Return the sets to learn from, all in the form of the first, or of what the network of `start` reads.

    Raises UsageError for vectors that cannot be rotated and for sets that share images, and InputError for sets of
    different kinds.
    """
    if start.network is not None:
        first = load_like(config.dataset, start.network.architecture.shape, context, start.dataset)
    else:
        first = load_dataset(config.dataset, context, size=config.size)
    if config.size is not None and len(first.shape) != 3:
        raise UsageError(f"--size: {first.name} holds vectors; leave it out")
    if config.task is Task.CLASSES:
        return [first.labelled()]
    if first.kind is Kind.VECTORS or len(first.shape) != 3:
        raise UsageError(f"--task rotation: {first.name} holds vectors, which have no rotations; name a set of images")
    sets = [first]
    for name in config.others:
        other = load_like(
            name, first.shape, context, first.to_header(), beside=first.title if start.network is None else None
        )
        if other.kind is not first.kind:
            raise InputError(
                f"{first.name} holds {first.kind} and {other.name} {other.kind}, which are augmented differently; name "
                "sets of one kind"
            )
        for earlier in sets:
            if overlap(earlier.to_header(), other.to_header()):
                raise UsageError(f"{earlier.name} and {other.name} share images; name each image once")
        sets.append(other)
    return sets


def union_of(sets: Sequence[Dataset]) -> Subset:
    """Return all items of sets of one form as one subset, without labels if the sets are several."""
    if len(sets) == 1:
        return sets[0].union()
    images = joined([data.union().images for data in sets])
    return Subset("all", images, torch.arange(len(images)), None)


def new_network(
    config: PretrainConfig, items: Subset, seed: int, outputs: int, start: BackboneNet | None, head: HeadKind
) -> ClusterNet:
    """Return an untrained classifier, on the backbone of `start` if there is one.

    Raises UsageError if `--fine-tune` is more than the groups of layers of that backbone.
    """
    hidden = HIDDEN if head is HeadKind.HIDDEN else 0
    if start is None:
        return untrained(ClusterNet, config.backbone, items, seed, hidden=hidden, outputs=outputs, head=head)
    network = started(ClusterNet, start, seed, hidden=hidden, outputs=outputs, head=head)
    if config.fine_tune is not None:
        check_groups(network.backbone, config.fine_tune, config.init)
        network.train_last(config.fine_tune)
    return network


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
    network: ClusterNet, items: Subset, labels: Tensor | None, kind: Kind, sampler: Sampler, plan: Plan, *,
    quick: bool = False, after: Callable[[int], None] | None = None,
) -> History:  # fmt: skip
    """Train a classifier of items on its device in place; return the loss of each epoch.

    `labels` (N,) are the classes of the items; None learns the rotations of images.
    """
    scale, smoothing = (SCALE, SMOOTHING) if quick else (1.0, 0.0)
    device = next(network.parameters()).device
    targets = None if labels is None else labels.to(device)
    mirrors = Mirrors(len(items), plan.seed, device) if quick else None

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for index, x in batches_of(items, sampler, generator, device):
            shard = share(len(index))
            flipped = None if mirrors is None else mirrors.of(index[shard.rows])
            yield index, augment(x, kind, generator, shard, flipped=flipped)

    def step(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        index, x = batch
        shard = share(len(index))
        x, target = rotated(x) if targets is None else (x, targets[index[shard.rows]])
        return {"loss": F.cross_entropy(network(x) * scale, target, label_smoothing=smoothing) * shard.weight}

    history = fit(network, batches, step, plan, after, None if mirrors is None else mirrors.turn)
    with torch.no_grad():
        for weights in network.head[-1].parameters():
            weights.mul_(scale)
    return history


def rotated(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the four rotations of square images (B, C, H, H) as (4 B, C, H, H), and the quarter turns of each (4 B,).

    The images come first as they are, then all of them by each further quarter turn.
    """
    assert images.shape[2] == images.shape[3]
    turns = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
    return torch.cat([images.rot90(turn, (2, 3)) for turn in range(TURNS)]), turns


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
