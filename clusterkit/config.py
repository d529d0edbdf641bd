"""Every name a user can type and every default, in one place. Nothing heavy is imported here.

One frozen dataclass a stage: what it holds is what the header of the stage's artifact records.
"""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from clusterkit.settings import Features, File, K, Pairs, Settings


class Kind(StrEnum):
    """What the items of a data set are; it decides how they are augmented."""

    CHARACTERS = "characters"
    PHOTOS = "photos"
    VECTORS = "vectors"


class Backbone(StrEnum):
    CONV4 = "conv4"
    CONV4_FINE = "conv4-fine"
    VGGS = "vggs"
    SPN = "spn"
    LENET = "lenet"
    DTN = "dtn"
    VGG8 = "vgg8"
    VGG11 = "vgg11"
    VGG16 = "vgg16"
    PREACTRESNET18 = "preactresnet18"
    PREACTRESNET101 = "preactresnet101"
    RESNET18 = "resnet18"
    RESNET34 = "resnet34"
    RESNET50 = "resnet50"
    MLP = "mlp"


class BatchNorm(StrEnum):
    """Whose statistics G's batch normalisation uses on the target."""

    TARGET = "target"
    SOURCE = "source"


class Form(StrEnum):
    """How pairs are stored: every logit, or the vectors from which any logit follows."""

    AUTO = "auto"
    DENSE = "dense"
    FACTORED = "factored"


class Variation(StrEnum):
    """How much images are varied in training: not at all, or characters mildly, strongly, or with parts erased."""

    NONE = "none"
    MILD = "mild"
    STRONG = "strong"
    ERASED = "erased"


class Precision(StrEnum):
    """How exactly a network is trained: in full float32, or faster."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


class Optimizer(StrEnum):
    """By what rule the weights follow the gradient: Adam, or gradient descent with a momentum of 0.9."""

    ADAM = "adam"
    SGD = "sgd"


OWN_DATA = ("folder", "arrays")
"""What stands before the colon in the name of a data set that is a user's own, before its path."""


def cache_folder() -> Path:
    """Return the folder for what can be had again: data sets where no other root is named, and decoded images."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "clusterkit"


@dataclass(frozen=True, kw_only=True)
class Context(Settings):
    """Where and how a stage runs. Only the seed can change a result, so only the seed reaches a header.

    `given` names the settings that were typed on the stage's own command line. `contents` is what headers say of
    the data sets that this command has read already to compare them, by name and form.
    """

    workdir: Path = Path("clusterkit-out")
    data: Path = field(default_factory=cache_folder)
    device: str = "auto"
    seed: int = 0
    offline: bool = False
    resume: bool = False
    given: frozenset[str] = frozenset()
    contents: dict[tuple[str, int, int | None], dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def is_given(self, config: object, name: str) -> bool:
        """Return whether a setting was typed, or differs from its default, which is all that Python code can tell."""
        return name in self.given or getattr(config, name) != getattr(type(config), name)

    def path(self, name: str) -> Path:
        """Return the place of an artifact in the work folder."""
        return self.workdir / name

    def find(self, name: str) -> Path:
        """Return the place of a file to read: a bare name is looked for in the work folder first."""
        inside, given = self.workdir / name, Path(name)
        bare = given.name == name
        return inside if bare and (inside.exists() or not given.exists()) else given


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Settings):
    dataset: str
    backbone: Backbone = Backbone.CONV4
    size: int | None = None
    epochs: int = 30
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: Optimizer = Optimizer.ADAM
    drop_every: int | None = None
    precision: Precision = Precision.FP32


G_FILE = "g.safetensors"
"""The G that is used where no other is named."""
PAIRS_FILE = File("pairs.h5")
"""The pairs that are used where no others are named."""


@dataclass(frozen=True, kw_only=True)
class TrainGConfig(Settings):
    dataset: str
    backbone: Backbone = Backbone.CONV4
    hidden: int = 512
    members: int = 1
    size: int | None = None
    epochs: int = 16
    classes_per_batch: int = 20
    images_per_class: int = 5
    learning_rate: float = 1e-3
    variation: Variation = Variation.MILD
    pretrained: bool = False
    init: Path | None = None
    precision: Precision = Precision.FP32


@dataclass(frozen=True, kw_only=True)
class SelfTrainConfig(Settings):
    dataset: str | None = None
    g: str = G_FILE
    rounds: int = 7
    learning_rate: float = 2e-3
    precision: Precision = Precision.FP32


@dataclass(frozen=True, kw_only=True)
class PredictPairsConfig(Settings):
    dataset: str | None = None
    g: str = G_FILE
    bn: BatchNorm = BatchNorm.TARGET
    form: Form = Form.AUTO
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Settings):
    """What every method of clustering shares; `options` are the method's own, None for their defaults."""

    dataset: str | None = None
    k: K = 100
    method: str = "ccn"
    pairs: Pairs = PAIRS_FILE
    constraints: Path | None = None
    features: Features | File | None = None
    options: object = None


@dataclass(frozen=True, kw_only=True)
class AssignConfig(Settings):
    dataset: str
    model: str = "ccn.safetensors"
    subset: str | None = None


@dataclass(frozen=True, kw_only=True)
class EstimateKConfig(Settings):
    assignments: str = "assignments.h5"
    pairs: str = "pairs.h5"
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Settings):
    assignments: str = "assignments.h5"
    g: str | None = None
    dataset: str | None = None
    bn: BatchNorm = BatchNorm.TARGET
    ways: tuple[int, ...] = (5, 20)
    episodes: int = 1000


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(Settings):
    """What every method of adaptation shares; `options` are the method's own, None for their defaults."""

    source: str
    target: str
    method: str = "ccn+"
    pairs: str | None = None
    backbone: Backbone = Backbone.DTN
    size: int | None = None
    pretrained: bool = True
    steps: int = 1000
    source_batch: int = 32
    target_batch: int = 96
    learning_rate: float = 0.01
    optimizer: Optimizer = Optimizer.SGD
    variation: Variation = Variation.MILD
    precision: Precision = Precision.FP32
    snapshots: bool = False
    options: object = None


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig(Settings):
    dataset: str = "mnist_train"
    size: int = 28
    images: int | None = 10_000
    steps: int = 6
    losses: tuple[str, ...] = ("kcl", "ccl")
    ks: tuple[int, ...] = (10, 100)
    densities: tuple[float, ...] = (1.0, 0.1)
    restarts: int = 1
    backbone: Backbone = Backbone.LENET
    epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 0.1
    optimizer: Optimizer = Optimizer.SGD
