"""All names that a user can type and all defaults. Nothing heavy is imported here.

Each stage has one frozen dataclass, and the header of the stage's artifact records its fields.
"""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from clusterkit.errors import UsageError
from clusterkit.reading import USUAL, Reading
from clusterkit.settings import READERS, Features, File, Fixed, Graph, K, Pairs, Placing, Settings, Task, parse_fixed


class Kind(StrEnum):
    """The kind of items in a data set, which decides how they are augmented."""

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
    VGG_FAST = "vgg-fast"
    PREACTRESNET18 = "preactresnet18"
    PREACTRESNET101 = "preactresnet101"
    RESNET18 = "resnet18"
    RESNET34 = "resnet34"
    RESNET50 = "resnet50"
    MLP = "mlp"
    IDENTITY = "identity"
    DEC = "dec"


def parse_backbone(text: str) -> Backbone | Fixed:
    """Return the value of `--backbone`: a backbone to train, or fixed ones.

    Raises UsageError for text that is neither.
    """
    if text in list(Backbone):
        return Backbone(text)
    if ":" not in text:
        raise UsageError(
            f"--backbone {text}: choose one of {', '.join(Backbone)}, timm:NAME, torchvision:NAME or "
            f"{CHARACTERS_BACKBONE}"
        )
    return parse_fixed(text)


def parse_fixed_backbone(text: str) -> Fixed:
    """Return the value of `--backbone` where only fixed ones are possible. Raises UsageError for one to train."""
    backbone = parse_backbone(text)
    if isinstance(backbone, Backbone):
        raise UsageError(f"--backbone {text}: is trained; name a fixed one, as in timm:NAME")
    return backbone


READERS[Backbone | Fixed | None] = parse_backbone
READERS[Fixed] = parse_fixed_backbone
CHARACTERS_BACKBONE = Fixed(("clusterkit:characters",))
"""The features of the program's own G of characters, for sets of few large classes of characters."""
PHOTOS = Fixed(("timm:vit_small_patch14_dinov2.lvd142m",))
"""The default backbone of photos: small, with a free licence (Apache-2.0)."""


class Recipe(StrEnum):
    """The settings that a command takes where none are typed: those that cluster best, or those of the papers."""

    BEST = "best"
    PAPER = "paper"


class Head(StrEnum):
    """What G has above its features: a metric that corrects fixed features, or the pair head (L2C, section 4.1)."""

    METRIC = "metric"
    PAIR = "pair"


class BatchNorm(StrEnum):
    """The data set whose statistics G's batch normalisation uses on the target."""

    TARGET = "target"
    SOURCE = "source"


class Form(StrEnum):
    """The form of stored pairs: every logit, or factors from which every logit can be computed."""

    AUTO = "auto"
    DENSE = "dense"
    FACTORED = "factored"


class Variation(StrEnum):
    """The strength of augmentation in training; erased is for characters only, strong for all images."""

    NONE = "none"
    MILD = "mild"
    STRONG = "strong"
    ERASED = "erased"


class Precision(StrEnum):
    """The number format of training: full float32, or a faster one."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


class Optimizer(StrEnum):
    """The update rule of training: Adam, or gradient descent with a momentum of 0.9."""

    ADAM = "adam"
    SGD = "sgd"


def cache_folder() -> Path:
    """Return the folder of decoded images and, by default, of downloaded data sets."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "clusterkit"


@dataclass(frozen=True, kw_only=True)
class Context(Settings):
    """The folders, device and seed of a run. Headers record the seed and the kind of device, but no folder.

    `given` names the settings that were typed on the stage's own command line. `contents` caches the header entries of
    the data sets that this command has read for comparison, by how they are read.
    """

    workdir: Path = Path("clusterkit-out")
    data: Path = field(default_factory=cache_folder)
    device: str = "auto"
    seed: int = 0
    offline: bool = False
    resume: bool = False
    reading: Reading = USUAL
    given: frozenset[str] = frozenset()
    contents: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def is_given(self, config: object, name: str) -> bool:
        """Return whether a setting was typed or differs from its default; in Python code only the latter is known."""
        return name in self.given or getattr(config, name) != getattr(type(config), name)

    def path(self, name: str) -> Path:
        """Return the path of an artifact in the work folder."""
        return self.workdir / name

    def find(self, name: str) -> Path:
        """Return the path of a file to read; a bare name is looked up in the work folder first.

        `clusterkit:characters` is the G of the program, and so is `characters`, unless a file has this name.
        """
        if name == OWN_G:
            return CHARACTERS_FILE
        path = Path(name)
        places = [self.workdir / name, path] if path.name == name else [path]
        if name == CHARACTERS_G:
            places.append(CHARACTERS_FILE)
        # Where no place has a file, a folder of this name is what its reader has to refuse.
        return next((place for test in (Path.is_file, Path.exists) for place in places if test(place)), places[0])

    def settled(self, name: str) -> str:
        """Return the name of a file as headers have it: the one that always means the G of the program, or as it is."""
        return OWN_G if self.find(name) == CHARACTERS_FILE else name


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Settings):
    """The settings of `pretrain`; None is what suits the backbone, and only `--task rotation` reads `others`."""

    dataset: str
    others: tuple[str, ...] = ()
    task: Task = Task.CLASSES
    backbone: Backbone = Backbone.CONV4
    size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: Optimizer | None = None
    drop_every: int | None = None
    init: Path | None = None
    fine_tune: int | None = None
    precision: Precision | None = None


@dataclass(frozen=True, kw_only=True)
class TrainCriticConfig(Settings):
    """The settings of `train-critic`; for None, the stage takes what `recipe` has."""

    dataset: str
    others: tuple[str, ...] = ()
    recipe: Recipe = Recipe.BEST
    graph: Graph | None = None
    gradient_penalty: float | None = None
    few: bool = False


CRITIC_FILE = "critic.safetensors"
"""The default critic."""
G_FILE = "g.safetensors"
"""The default G."""
CHARACTERS_G = "characters"
"""The name of the G of characters that is a part of the program, where no file of the user has it."""
OWN_G = f"clusterkit:{CHARACTERS_G}"
"""The name of this G in headers, and the one that always means it."""
CHARACTERS_FILE = Path(__file__).parent / "networks" / "characters.safetensors"
"""The file of that G, which `train-g omniglot_bg` made."""
PAIRS_FILE = File("pairs.h5")
"""The default pairs."""


@dataclass(frozen=True, kw_only=True)
class TrainGConfig(Settings):
    """The settings of `train-g`; for None, the stage takes what `recipe` has for the kind of the data set."""

    dataset: str
    recipe: Recipe = Recipe.BEST
    backbone: Backbone | Fixed | None = None
    weights: tuple[Path, ...] = ()
    head: Head | None = None
    hidden: int = 512
    members: int = 1
    size: int | None = None
    epochs: int | None = None
    classes_per_batch: int = 20
    images_per_class: int = 5
    learning_rate: float | None = None
    variation: Variation | None = None
    pretrained: bool = False
    init: Path | None = None
    unlabelled: bool = False
    precision: Precision = Precision.FP32


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(Settings):
    """The settings of `embed`; `weights` are files, one for each backbone, and `size` the side of their input."""

    dataset: str
    backbone: Fixed = PHOTOS
    weights: tuple[Path, ...] = ()
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class SelfTrainConfig(Settings):
    dataset: str | None = None
    g: str = G_FILE
    rounds: int = 7
    learning_rate: float = 2e-3
    precision: Precision = Precision.FP32
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class PredictPairsConfig(Settings):
    dataset: str | None = None
    g: str = G_FILE
    bn: BatchNorm = BatchNorm.TARGET
    form: Form = Form.AUTO
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Settings):
    """The settings of all clustering methods; `options` are those of the method, None for its defaults.

    `recipe` decides how a network starts where `--init` is not given.
    """

    dataset: str | None = None
    recipe: Recipe = Recipe.BEST
    k: K = 100
    method: str = "ccn"
    pairs: Pairs = PAIRS_FILE
    constraints: Path | None = None
    constraint_weight: float | None = None
    examples: Path | None = None
    features: Features | File | None = None
    options: object = None

    @property
    def has_links(self) -> bool:
        """Return whether the user links items, by constraints or by examples."""
        return self.constraints is not None or self.examples is not None


@dataclass(frozen=True, kw_only=True)
class AssignConfig(Settings):
    """The settings of `assign`; `files` are the paths of the only files of a folder to read, () for all."""

    dataset: str
    files: tuple[str, ...] = ()
    model: str = "ccn.safetensors"
    subset: str | None = None
    unknown: bool = False


@dataclass(frozen=True, kw_only=True)
class EstimateKConfig(Settings):
    """`assignments` None is `assignments.h5`, or none for pairs by a metric, which need no clustering.

    `probe` names the labelled classes of the estimate `probe`; without them it is not made.
    """

    assignments: str | None = None
    pairs: str = "pairs.h5"
    probe: str | None = None
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Settings):
    assignments: str = "assignments.h5"
    g: str | None = None
    critic: str | None = None
    dataset: str | None = None
    bn: BatchNorm = BatchNorm.TARGET
    ways: tuple[int, ...] = (5, 20)
    episodes: int = 1000


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Settings):
    assignments: str = "assignments.h5"
    truth: bool = False
    folders: Path | None = None
    by: Placing = Placing.COPY


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(Settings):
    """The settings of all adaptation methods; `options` are those of the method, None for its defaults."""

    source: str
    target: str
    method: str = "ccn+"
    pairs: str | None = None
    backbone: Backbone | Fixed = Backbone.DTN
    weights: tuple[Path, ...] = ()
    fine_tune: int | None = None
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
