"""Shared code of the studies of transfer: their sets, the classifier of A, and the joint trainings from it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from clusterkit import console
from clusterkit.config import Backbone, ClusterConfig, Context, Kind, Optimizer, Precision, PretrainConfig
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS
from clusterkit.methods.common.joint_options import JointOptions, SourceOptions
from clusterkit.metrics.rows import Row
from clusterkit.settings import CountedBy, File, Flag, K, Options, Task
from clusterkit.studies.common import measured, runs
from clusterkit.studies.common.flags import Clusterings, Precise

if TYPE_CHECKING:
    from clusterkit.artifacts.header import Header

EPOCHS = 100
"""Passes over T of every method: those of SUPREME (Huang and Gong 2020, section 4)."""

ROTATION_EPOCHS, LAST_EPOCHS = 200, 100
"""Passes of AutoNovel's start: over A and T to learn rotations, then over A."""
DESCENT: dict[str, Any] = {"batch_size": 128, "learning_rate": 0.1, "optimizer": Optimizer.SGD}
"""The training of the papers' classifiers."""
BY_ADAM: dict[str, Any] = {"optimizer": Optimizer.ADAM, "consistency_weight": 100.0}
"""What DTC and AutoNovel share on Omniglot, in the code of their authors."""


@dataclass(frozen=True)
class Transfer:
    """A labelled set A, a set T of other classes, and the number of classes in each subset of T."""

    source: str
    target: str
    k: K


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The task of a set, the same within the classes of A, and the settings of the networks.

    `full` are the backbone and the passes of the classifier in the papers, None for those of other runs. `own` holds,
    by method, what the papers or the code of their authors set for this set alone.
    """

    task: Transfer
    held_out: Transfer
    kind: Kind = Kind.PHOTOS
    backbone: Backbone = Backbone.VGG_FAST
    size: int | None = None
    epochs: int = 20
    full: tuple[Backbone, int] | None = (Backbone.PREACTRESNET18, 180)
    classes_per_batch: int = 20
    images_per_class: int = 5
    own: dict[str, dict[str, Any]] = field(default_factory=dict)


def of_cifar100(new: str, k: int) -> Setting:
    return Setting(
        task=Transfer("cifar100_train@0-79", f"cifar100_train@{new}", k),
        held_out=Transfer("cifar100_train@0-69", "cifar100_train@70-79", 10),
        own={"dtc": {"passes": 130}, "autonovel": {"ramp_epochs": 150, "consistency_weight": 50.0}},
    )


CIFAR10 = Setting(
    task=Transfer("cifar10_train@0-4", "cifar10_train@5-9", 5),
    # A network of three classes cannot tell some pairs of others, cats and deer for one; these two it can.
    held_out=Transfer("cifar10_train@1-3", "cifar10_train@0,4", 2),
    classes_per_batch=5,
    images_per_class=20,
)
SETTINGS = {
    "cifar10": CIFAR10,
    "cifar10-test": replace(CIFAR10, task=Transfer("cifar10_train@0-4", "cifar10_test@5-9", 5)),
    "cifar100-10": of_cifar100("80-89", 10),
    "cifar100-20": of_cifar100("80-99", 20),
    "svhn": Setting(
        task=Transfer("svhn_train@0-4", "svhn_train@5-9", 5),
        held_out=Transfer("svhn_train@0-2", "svhn_train@3-4", 2),
        kind=Kind.CHARACTERS,
        classes_per_batch=5,
        images_per_class=20,
        own={
            "dtc": {"passes": 70, "learning_rate": 0.001},
            "autonovel": {"ramp_epochs": 80, "consistency_weight": 50.0},
        },
    ),
    "imagenet": Setting(
        task=Transfer("imagenet882", "imagenet118_30", 30),
        held_out=Transfer("imagenet882@0-851", "imagenet882@852-881", 30),
        backbone=Backbone.RESNET18,
        epochs=90,
        full=(Backbone.RESNET18, 90),
        own={"dtc": {"passes": 70}},
    ),
    "omniglot": Setting(
        task=Transfer("omniglot_bg", "omniglot_eval", CountedBy.LABELS),
        # The last three alphabets are held out.
        held_out=Transfer("omniglot_bg@0-868", "omniglot_bg@869-963", CountedBy.LABELS),
        kind=Kind.CHARACTERS,
        backbone=Backbone.CONV4_FINE,
        size=64,
        epochs=30,
        full=None,
        own={
            "dtc": {**BY_ADAM, "passes": 100, "learning_rate": 0.001, "interval": 1, "batch_size": 100},
            # 100 passes over A, beside each 68 of whose images 32 of T are read.
            "autonovel": {**BY_ADAM, "passes": 1400, "learning_rate": 0.01, "ramp_epochs": 14, "batch_size": 32},
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """The options of every study of transfer."""

    sets: Annotated[
        tuple[str, ...] | None,
        Flag(name="set", help="Data set; may be repeated.", choices=SETTINGS, default="all that are present"),
    ] = None
    pretrained: Annotated[
        Path | None, Flag(help="Start from the network in this file of pretrain; name one --set with it.")
    ] = None
    backbone: Annotated[
        Backbone | None,
        Flag(help="Backbone of all networks.", default="that of the set"),
    ] = None
    epochs: Annotated[int, Flag(help="Passes over T of every training.", min=1)] = EPOCHS
    budget: Annotated[
        float, Flag(help="Share of the passes of every training, the classifier's too.", min=0.001, max=1)
    ] = 1.0
    seeds: Clusterings = 1
    precision: Precise = Precision.FP32

    def share(self, epochs: int) -> int:
        return runs.share_of(epochs, self.budget)


def check_start(options: NetworkOptions, names: tuple[str, ...], tasks: dict[str, Transfer]) -> None:
    """Check the file of a network from which the only set of a study starts; log if it did not learn just A.

    Raises UsageError for several sets, and InputError if the file cannot be read, reads images of another form, or
    learned labels of T.
    """
    from clusterkit.datasets.catalogue import parse
    from clusterkit.networks.read import read_start

    if options.pretrained is None:
        return
    if len(names) > 1:
        raise UsageError(
            f"--pretrained {options.pretrained}: is the start of one set, but there are {', '.join(names)}; name one "
            "with --set"
        )
    if options.backbone is not None:
        raise UsageError(f"--backbone: --pretrained {options.pretrained} has its own; leave one of them out")
    header, network = read_start(options.pretrained)
    [name] = names
    task = tasks[name]
    entry = parse(task.source).entry
    size = SETTINGS[name].size or entry.size
    if network.architecture.shape != (entry.channels, size, size):
        raise InputError(
            f"{options.pretrained}: reads items of shape {network.architecture.shape}, but --set {name} has images of "
            f"shape {(entry.channels, size, size)}; name a network of such images"
        )
    learned = check_learned(options.pretrained, header, task)
    if learned != [task.source]:
        sets = " and ".join(learned) or "no labels"
        console.log.info("%s: learned %s, not %s; all methods start from it", options.pretrained, sets, task.source)


def check_g(path: Path, task: Transfer) -> None:
    """Raise InputError if a file holds no G, or one that does not read the images of a task, or learned labels of T."""
    from clusterkit.datasets.catalogue import parse
    from clusterkit.networks.read import read_g

    header, g = read_g(path)
    shape = g.architecture.shape
    if len(shape) != 3 or shape[0] != parse(task.target).entry.channels:
        raise InputError(f"{path}: reads items of shape {shape}, not images as in {task.target}; name another G")
    check_learned(path, header, task)


def check_learned(path: Path, header: "Header", task: Transfer) -> list[str]:
    """Return the names of the sets whose labels a network learned. Raises InputError if they share images with T."""
    from clusterkit.artifacts.lineage import learned_from
    from clusterkit.datasets.overlap import overlap

    learned = learned_from(header, path)
    # The names of the sets of a study determine their content.
    if any(overlap(fields, {"name": task.target, "fingerprint": None}) for fields in learned):
        raise InputError(
            f"{path}: learned labels of {task.target}, which the study clusters; name a network that learned only "
            f"{task.source}"
        )
    return [fields["name"] for fields in learned]


def pretraining(setting: Setting, task: Transfer, options: NetworkOptions, *, full: bool = False) -> PretrainConfig:
    """Return the settings of the classifier of A; `full` takes those of the papers."""
    as_published = setting.full if full else None
    backbone, epochs = as_published or (setting.backbone, setting.epochs)
    config = PretrainConfig(
        dataset=task.source, backbone=options.backbone or backbone, size=setting.size, epochs=options.share(epochs),
        precision=options.precision,
    )  # fmt: skip
    return replace(config, **DESCENT) if as_published else config


def start_of(config: PretrainConfig, options: NetworkOptions, context: Context) -> tuple[File, float | None]:
    """Return the file that all methods of a set start from, and the seconds of its training if they are known."""
    if options.pretrained is not None:
        return File(str(options.pretrained.absolute())), None
    path = context.path("pretrained.safetensors")
    seconds = measured.seconds_of(lambda: runs.run_stage(config, context), path, context)
    return File(str(path)), seconds


def start_by_rotations(classifier: PretrainConfig, task: Transfer, options: NetworkOptions, context: Context) -> File:
    """Return a classifier of A whose backbone learned the rotations of A and T first (Han et al. 2020, section 3.1).

    Only its last group of layers learns A. `classifier` are the settings of the usual one.
    """
    rotations = replace(classifier, others=(task.target,), task=Task.ROTATION, epochs=options.share(ROTATION_EPOCHS))
    start = runs.run_stage(rotations, runs.subfolder(context, "rotations"))
    last = replace(
        classifier, backbone=PretrainConfig.backbone, size=None, init=start, fine_tune=1,
        epochs=options.share(LAST_EPOCHS),
    )  # fmt: skip
    return File(str(runs.run_stage(last, runs.subfolder(context, "last-layers"))))


def joint(
    method: str, task: Transfer, start: File, passes: int, precision: Precision, more: dict[str, Any] | None = None
) -> ClusterConfig:
    """Return the settings of a joint training of a task; `more` are further options of the method."""
    kind = METHODS[method].options
    assert issubclass(kind, JointOptions)
    fields: dict[str, Any] = {"init": start, "epochs": passes, "precision": precision, **(more or {})}
    if issubclass(kind, SourceOptions):
        fields["source"] = task.source
    if method == "dtc":
        # The paper warms up for 10 passes and renews the targets after every 5 of the 100 that follow.
        warm_up = round(passes / 11)
        interval = fields.get("interval") or max(1, round(passes / 22))
        fields |= {"epochs": passes - warm_up, "warm_up": warm_up, "interval": interval if passes > 1 else None}
    return ClusterConfig(dataset=task.target, k=task.k, method=method, options=kind(**fields))


def clustered(config: ClusterConfig, context: Context, **fields: Any) -> list[Row]:
    """Cluster T, or go on with it; return its scores, with the seconds in the rows of means if they are known."""
    path = context.path("assignments.h5")
    seconds = measured.seconds_of(lambda: runs.cluster(config, context), path, context)
    rows = runs.scores(context, k=str(config.k), **fields)
    return [replace(row, seconds=seconds) if row.subset == "mean" else row for row in rows]
