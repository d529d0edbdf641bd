"""The options of the methods that train features and clusters together. Importing this imports no heavy package."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from clusterkit.config import Backbone, Optimizer, Precision, Variation
from clusterkit.errors import UsageError
from clusterkit.settings import File, Flag, Init, Options, parse_init


@dataclass(frozen=True, kw_only=True)
class JointOptions(Options):
    """Options of every joint training. Without `init`, the stage takes the classifier of the work folder."""

    init: Annotated[Init | File | None, Flag(help="", read=parse_init)] = None
    backbone: Annotated[Backbone, Flag(help="")] = Backbone.CONV4
    epochs: Annotated[int, Flag(help="", min=1)] = 100
    batch_size: Annotated[int, Flag(help="", min=2)] = 128
    learning_rate: Annotated[float, Flag(help="", min=0)] = 1e-3
    optimizer: Annotated[Optimizer, Flag(help="")] = Optimizer.ADAM
    variation: Annotated[Variation, Flag(help="")] = Variation.MILD
    precision: Annotated[Precision, Flag(help="")] = Precision.FP32

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
class AutonovelOptions(SourceOptions):
    """Options of AutoNovel, with the paper's values for CIFAR-10."""

    epochs: Annotated[int, Flag(help="", min=1)] = 200
    learning_rate: Annotated[float, Flag(help="", min=0)] = 0.1
    optimizer: Annotated[Optimizer, Flag(help="")] = Optimizer.SGD
    top: Annotated[
        int, Flag(help="Items count as similar if the sets of so many largest features are equal.", min=1)
    ] = 5
    consistency_weight: Annotated[float, Flag(help="Highest weight of the difference of two views.", min=0)] = 5.0
    ramp_epochs: Annotated[
        int | None,
        Flag(help="Passes until that weight is reached.", min=1, default="a quarter of --epochs"),
    ] = None
    incremental: Annotated[
        bool, Flag(help="The classifier of A also learns the clusters of T, as further classes.")
    ] = False


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
    balance_weight: Annotated[float, Flag(help="Weight of equal sizes of the clusters.", min=0)] = 1.0
    binary_weight: Annotated[float, Flag(help="Weight of factors near 0 or 1.", min=0)] = 0.1
