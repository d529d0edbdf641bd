"""The options of the methods that train features and clusters together. Importing this imports no heavy package."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from clusterkit.config import Backbone, Optimizer, Precision, Variation
from clusterkit.errors import UsageError
from clusterkit.methods.common.training_options import (
    BackboneFlag,
    BatchSizeFlag,
    EpochsFlag,
    FineTuneFlag,
    InitFlag,
    LearningRateFlag,
    OptimizerFlag,
    PrecisionFlag,
    VariationFlag,
)
from clusterkit.settings import File, Flag, Init, Options


@dataclass(frozen=True, kw_only=True)
class JointOptions(Options):
    """Options of every joint training, and its usual numbers of epochs and of items in a batch.

    Without `init`, the stage takes the classifier of the work folder.
    """

    EPOCHS: ClassVar[int] = 100
    BATCH: ClassVar[int] = 128

    init: InitFlag = None
    backbone: BackboneFlag = Backbone.CONV4
    epochs: EpochsFlag = None
    batch_size: BatchSizeFlag = None
    learning_rate: LearningRateFlag = 1e-3
    optimizer: OptimizerFlag = Optimizer.ADAM
    variation: VariationFlag = Variation.MILD
    precision: PrecisionFlag = Precision.FP32
    fine_tune: FineTuneFlag = None

    @property
    def passes(self) -> int:
        """Return the number of epochs, the method's own if none is typed."""
        return self.epochs or self.EPOCHS

    @property
    def images(self) -> int:
        """Return the number of items of each set in a batch, the method's own if none is typed."""
        return self.batch_size or self.BATCH

    @property
    def makes_start(self) -> bool:
        """Whether the training makes the features that it starts from, so that images need no classifier."""
        return False

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.init is Init.G:
            raise UsageError(
                f"--init g: --method {config.method} starts from a classifier; name a file of pretrain, as in "
                "--init pretrained.safetensors"
            )
        if isinstance(self.init, File) and is_given("backbone"):
            raise UsageError(
                f"--backbone: --init {self.init} uses the backbone of the file; leave it out, or give --init random"
            )


@dataclass(frozen=True, kw_only=True)
class SourceOptions(JointOptions):
    """Options of a joint training that also learns the classes of a labelled source."""

    source: Annotated[
        str | None,
        Flag(
            help="The labelled set A, whose classes are learned beside the clusters of T.",
            default="the set of the classifier that the training starts from",
        ),
    ] = None
    source_weight: Annotated[float, Flag(help="Weight of the classification of A.", min=0)] = 1.0


ConsistencyFlag = Annotated[
    float,
    Flag(
        help="Highest weight of the agreement of two views, or with earlier passes.",
        min=0,
        default="5 for autonovel, 10 for dtc",
    ),
]


def check_agreement(options: "JointOptions", is_given: Callable[[str], bool], cause: str) -> None:
    """Raise UsageError for a typed weight of the agreement of two views, which are the same for a `cause`."""
    if is_given("consistency_weight") and getattr(options, "consistency_weight", 0) > 0:
        raise UsageError(
            f"--consistency-weight: {cause} makes both views of an item the same, so they always agree; leave it out"
        )


MOST_TOP = 5
"""The most largest features that AutoNovel compares by default: the number of the paper."""


@dataclass(frozen=True, kw_only=True)
class AutonovelOptions(SourceOptions):
    """Options of AutoNovel, with the paper's weights and highest learning rate for CIFAR-10."""

    EPOCHS: ClassVar[int] = 200

    learning_rate: LearningRateFlag = 0.1
    optimizer: OptimizerFlag = Optimizer.SGD
    top: Annotated[
        int | None,
        Flag(
            help="Items count as similar if the sets of so many largest features are equal; the fewer, the more items.",
            min=1,
            default=f"up to {MOST_TOP}, so that about one pair in K is similar",
        ),
    ] = None
    consistency_weight: ConsistencyFlag = 5.0
    ramp_epochs: Annotated[
        int | None,
        Flag(help="Passes until the weight of the agreement is reached.", min=1, default="a quarter of --epochs"),
    ] = None
    incremental: Annotated[
        bool, Flag(help="The classifier of A also learns the clusters of T, as further classes.")
    ] = False

    @property
    def rising_epochs(self) -> int:
        """Return the number of epochs in which the weights of the agreement and of T's own clusters rise."""
        return self.ramp_epochs or max(1, self.passes // 4)

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.ramp_epochs is not None and self.ramp_epochs > self.passes:
            raise UsageError(
                f"--ramp-epochs {self.ramp_epochs}: the training has {self.passes} epochs, so --consistency-weight "
                "would not be reached; give a smaller number, or more --epochs"
            )
        if self.variation is Variation.NONE:
            check_agreement(self, is_given, "--variation none")


@dataclass(frozen=True, kw_only=True)
class SupremeOptions(SourceOptions):
    """Options of SUPREME. The paper gives no weights, no tau and no number of factors."""

    alpha: Annotated[
        float, Flag(help="Degrees of freedom of the first assignment; 0 weighs a cluster by 1/distance.", min=0)
    ] = 0.0
    tau: Annotated[float, Flag(help="Temperature of the confidence in a pair.", min=1e-3)] = 1.0
    factors: Annotated[int, Flag(help="Width of the space of binary factors.", min=1)] = 512
    pair_weight: Annotated[float, Flag(help="Weight of the pairs that the first assignment gives.", min=0)] = 0.1
    self_weight: Annotated[float, Flag(help="Weight of the agreement of two views of an image.", min=0)] = 1.0
    balance_weight: Annotated[float, Flag(help="Weight of equal sizes of the clusters.", min=0)] = 3.0
    binary_weight: Annotated[float, Flag(help="Weight of factors near 0 or 1.", min=0)] = 0.1


class Variant(StrEnum):
    """With what the predictions of DTC have to agree."""

    BASELINE = "baseline"
    PI = "pi"
    TE = "te"
    TEP = "tep"


IntervalFlag = Annotated[
    int | None,
    Flag(
        help="Passes between two renewals of the targets.",
        min=1,
        default="5 for dtc, 160 batches for dec; in both at most half of the passes",
    ),
]


@dataclass(frozen=True, kw_only=True)
class TargetOptions(JointOptions):
    """Options of a joint training towards targets that are renewed every few epochs."""

    interval: IntervalFlag = None

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.interval is not None and self.interval >= self.passes:
            raise UsageError(
                f"--interval {self.interval}: the training has {self.passes} epochs, so the targets would stay; give a "
                "smaller number, or more --epochs"
            )


@dataclass(frozen=True, kw_only=True)
class DtcOptions(TargetOptions):
    """Options of DTC, with the paper's weights and highest learning rate for CIFAR-10, where pi is its best variant."""

    learning_rate: LearningRateFlag = 0.05
    optimizer: OptimizerFlag = Optimizer.SGD
    variant: Annotated[
        Variant,
        Flag(
            help="What predictions agree with: nothing (baseline), a second view (pi), or their mean over earlier "
            "passes (te), which with tep also makes the targets."
        ),
    ] = Variant.PI
    warm_up: Annotated[int, Flag(help="Passes towards the first targets, before they are renewed.", min=0)] = 10
    consistency_weight: ConsistencyFlag = 10.0

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.variant is Variant.PI and self.variation is Variation.NONE:
            raise UsageError(
                "--variation none: makes both views of an image the same, from which --variant pi learns nothing; "
                "leave it out, or give --variant baseline"
            )
        if self.variant is Variant.BASELINE and is_given("consistency_weight"):
            raise UsageError(
                "--consistency-weight: --variant baseline lets predictions agree with nothing; leave one of them out"
            )


@dataclass(frozen=True, kw_only=True)
class DecOptions(TargetOptions):
    """Options of DEC. The default rate, batches and tolerance are those of the paper on MNIST."""

    BATCH: ClassVar[int] = 256

    backbone: BackboneFlag = Backbone.DEC
    learning_rate: LearningRateFlag = 0.01
    optimizer: OptimizerFlag = Optimizer.SGD
    tolerance: Annotated[
        float,
        Flag(
            help="Share of the items; the training ends when fewer change their cluster between two renewals, but not "
            "while the learning rate rises.",
            min=0,
            max=1,
        ),
    ] = 0.001
    autoencoder_epochs: Annotated[
        int,
        Flag(help="Passes of the autoencoder of a dec without a start; each layer alone takes a quarter.", min=1),
    ] = 20

    @property
    def makes_start(self) -> bool:
        return self.backbone is Backbone.DEC
