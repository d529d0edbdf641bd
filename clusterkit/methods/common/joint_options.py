"""The options of the methods that train features and clusters together. Importing this imports no heavy package."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
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


class Variant(StrEnum):
    """With what the predictions of DTC have to agree."""

    BASELINE = "baseline"
    PI = "pi"
    TE = "te"
    TEP = "tep"


@dataclass(frozen=True, kw_only=True)
class DtcOptions(JointOptions):
    """Options of DTC. The defaults are those of the paper on CIFAR-10, of whose variants pi is the best there."""

    learning_rate: Annotated[float, Flag(help="", min=0)] = 0.05
    optimizer: Annotated[Optimizer, Flag(help="")] = Optimizer.SGD
    variant: Annotated[
        Variant,
        Flag(
            help="What predictions agree with: nothing (baseline), a second view (pi), or their mean over earlier "
            "epochs (te), which with tep also makes the targets."
        ),
    ] = Variant.PI
    warm_up: Annotated[int, Flag(help="Passes towards the first targets, before they are renewed.", min=0)] = 10
    interval: Annotated[
        int,
        Flag(
            help="Passes between two renewals of the targets.",
            min=1,
            default="5 for dtc; 160 batches, at most a tenth of --epochs, for dec",
        ),
    ] = 5
    consistency_weight: Annotated[float, Flag(help="Highest weight of the agreement.", min=0)] = 10.0

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.variant is Variant.PI and self.variation is Variation.NONE:
            raise UsageError(
                "--variation none: makes both views of an image the same, from which --variant pi learns nothing; "
                "leave it out, or give --variant baseline"
            )
        if self.variant is Variant.BASELINE and is_given("consistency_weight"):
            raise UsageError("--consistency-weight: --variant baseline has no such term; leave one of them out")


@dataclass(frozen=True, kw_only=True)
class DecOptions(JointOptions):
    """Options of DEC. The defaults are those of the paper on MNIST, with a shorter training of the autoencoder."""

    backbone: Annotated[Backbone, Flag(help="")] = Backbone.DEC
    batch_size: Annotated[int, Flag(help="", min=2)] = 256
    learning_rate: Annotated[float, Flag(help="", min=0)] = 0.01
    optimizer: Annotated[Optimizer, Flag(help="")] = Optimizer.SGD
    interval: Annotated[int | None, Flag(help="", min=1)] = None
    tolerance: Annotated[
        float,
        Flag(help="Share of the labels; the training ends when fewer change between two renewals.", min=0, max=1),
    ] = 0.001
    autoencoder_epochs: Annotated[
        int,
        Flag(
            help="Passes of the autoencoder that is trained on T without a start; each layer alone takes a quarter.",
            min=1,
        ),
    ] = 20

    @property
    def makes_start(self) -> bool:
        return self.backbone is Backbone.DEC
