"""The options of the methods that train features and clusters together. Importing this imports no heavy package."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from clusterkit.config import Backbone, Optimizer, Precision, Variation
from clusterkit.errors import UsageError
from clusterkit.methods.common.training_options import (
    BackboneFlag,
    BatchSizeFlag,
    EpochsFlag,
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

    @property
    def passes(self) -> int:
        """Return the number of epochs, the method's own if none is typed."""
        return self.epochs or self.EPOCHS

    @property
    def images(self) -> int:
        """Return the number of items of each set in a batch, the method's own if none is typed."""
        return self.batch_size or self.BATCH

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


@dataclass(frozen=True, kw_only=True)
class SupremeOptions(SourceOptions):
    """Options of SUPREME. The paper gives no weights, no tau and no number of factors."""

    alpha: Annotated[
        float, Flag(help="Degrees of freedom of the first assignment; 0 weighs a cluster by 1/distance.", min=0)
    ] = 0.0
    tau: Annotated[float, Flag(help="Temperature of the confidence in a pair.", min=1e-3)] = 0.25
    factors: Annotated[int, Flag(help="Width of the space of binary factors.", min=1)] = 512
    pair_weight: Annotated[float, Flag(help="Weight of the pairs that the first assignment gives.", min=0)] = 1.0
    self_weight: Annotated[float, Flag(help="Weight of the agreement of two views of an image.", min=0)] = 1.0
    balance_weight: Annotated[float, Flag(help="Weight of equal sizes of the clusters.", min=0)] = 3.0
    binary_weight: Annotated[float, Flag(help="Weight of factors near 0 or 1.", min=0)] = 0.1
