"""The clustering methods and what each declares. Importing this module imports no heavy package.

Each method is the function of its name in the file of its name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from clusterkit.config import CRITIC_FILE, Backbone, ClusterConfig, Optimizer, Precision, Variation
from clusterkit.errors import UsageError
from clusterkit.losses import LossOptions
from clusterkit.methods.common import sample
from clusterkit.methods.common.declared import Method, Reads, matrices
from clusterkit.methods.common.joint_options import AutonovelOptions, DecOptions, DtcOptions, SupremeOptions
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
from clusterkit.settings import DECLARED, CountedBy, File, Flag, Init, NoisyPairs, Options, TruePairs, options_of

LANDMARKS = 1000
"""Largest number of landmarks of lsc. A small set has half as many landmarks as items."""


@dataclass(frozen=True, kw_only=True)
class CcnOptions(LossOptions):
    """Options of the training of a clustering network."""

    init: InitFlag = None
    backbone: BackboneFlag = Backbone.CONV4
    epochs: EpochsFlag = None
    batch_size: BatchSizeFlag = None
    learning_rate: LearningRateFlag = 1e-3
    optimizer: OptimizerFlag = Optimizer.ADAM
    drop_every: Annotated[
        int | None,
        Flag(help="Divide the learning rate by ten after every so many epochs.", min=1, default="cosine schedule"),
    ] = None
    variation: VariationFlag = Variation.MILD
    rounds: Annotated[
        int,
        Flag(
            help="Number of trainings. Each but the first learns the clusters of the previous one that the "
            "nearest neighbours of each image confirm.",
            min=1,
        ),
    ] = 1
    precision: PrecisionFlag = Precision.FP32

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        super().check(config, is_given)
        if self.init not in (None, Init.RANDOM) and is_given("backbone"):
            backbone = "G's backbone" if self.init is Init.G else "the backbone of the file"
            advice = "leave one of them out" if is_given("init") else "leave it out, or give --init random"
            raise UsageError(f"--backbone: --init {self.init} uses {backbone}; {advice}")
        if self.init is Init.G and self.precision is Precision.BF16:
            raise UsageError("--precision bf16: --init g trains no backbone; leave out --precision")
        if self.init is Init.G and not isinstance(config.pairs, File):
            raise UsageError(f"--init g: no G predicted --pairs {config.pairs}; leave out --init g")


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Options):
    """Options of a method that can read only the pairs of a random sample of items."""

    max_pairs: Annotated[
        int | None,
        Flag(help="Largest number of pairs to use, which are all pairs among random items.", min=4, default="all"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class C2mOptions(Options):
    """Options of the search by a critic."""

    critic: Annotated[Path, Flag(help="The critic, a file of train-critic.")] = Path(CRITIC_FILE)


METHODS: dict[str, Method] = {
    "ccn": Method(
        title="CCN",
        values=False,
        pairs=Reads.LOGITS,
        trains=True,
        shapes=("metric", "clusters"),
        options=CcnOptions,
    ),
    "kmeans": Method(
        title="k-means",
        memory=matrices(rows=5),
        work=lambda size: 200.0 * size.items * size.k * size.width,
    ),
    "spectral": Method(
        title="spectral",
        instead=True,
        pairs=Reads.PROBABILITIES,
        shapes=("clusters",),
        memory=matrices(squares=5, rows=5),
        work=lambda size: 40.0 * size.items**2 * size.k,
    ),
    "lpnmf": Method(
        title="LPNMF",
        memory=matrices(rows=12),
        # Ten times the count, because multiplications of sparse matrices are slower.
        work=lambda size: 4000.0 * size.items * size.k * size.width,
    ),
    "lsc": Method(
        title="LSC",
        memory=lambda size: matrices(rows=5)(size) + 16 * size.items * LANDMARKS,
        work=lambda size: 7.0 * size.items * LANDMARKS * size.width + 200.0 * size.items * size.k**2,
    ),
    "consensus": Method(
        title="consensus",
        memory=lambda size: (
            24 * float(sample.compared(size.items, size.k)) ** 2 + 40 * float(size.items) * (size.width + 128 + size.k)
        ),
        work=lambda size: (
            (8000.0 + 4.0 * size.width) * size.items * min(size.items, sample.LARGEST)
            + 3e5 * min(size.items, 20.0 * size.k) * size.k
        ),
    ),
    "itml": Method(
        title="ITML",
        pairs=Reads.SIGNS,
        shapes=("metric",),
        memory=matrices(squares=12, rows=5),
        work=lambda size: 300 * float(size.sample) ** 3 + 200.0 * size.items * size.k * size.width,
        options=SampleOptions,
    ),
    "skms": Method(
        title="SKMS",
        pairs=Reads.SIGNS,
        finds_k=True,
        fewest=2,
        shapes=("metric",),
        memory=matrices(squares=18, rows=5),
        work=lambda size: 400 * float(size.sample) ** 3 + float(size.width) * size.items**2,
    ),
    "skkm": Method(
        title="SKKm",
        pairs=Reads.SIGNS,
        shapes=("metric",),
        memory=matrices(squares=16, rows=5),
        work=lambda size: 300 * float(size.sample) ** 3 + float(size.width) * size.items**2,
    ),
    "sklr": Method(
        title="SKLR",
        pairs=Reads.SIGNS,
        shapes=("metric",),
        memory=matrices(squares=25, rows=5),
        work=lambda size: 300 * float(size.sample) ** 3 + float(size.width) * size.items**2,
    ),
    "csp": Method(
        title="CSP",
        pairs=Reads.SIGNS,
        idle_alone=True,
        shapes=("clusters",),
        memory=matrices(squares=12, rows=5),
        work=lambda size: 40 * float(size.sample) ** 3 + float(size.width) * size.items**2,
    ),
    "mpckmeans": Method(
        title="MPCK-means",
        pairs=Reads.SIGNS,
        shapes=("metric", "clusters"),
        memory=matrices(squares=7, rows=5),
        work=lambda size: 10.0 * size.width * (2 * size.items * size.k + size.sample**2) + 100.0 * size.sample**2,
        options=SampleOptions,
    ),
    "agglomerative": Method(
        title="agglomerative",
        values=False,
        pairs=Reads.PROBABILITIES,
        shapes=("clusters",),
        memory=matrices(squares=6),
        work=lambda size: 100.0 * size.items**2,
    ),
    "hdbscan": Method(
        title="HDBSCAN",
        values=False,
        pairs=Reads.PROBABILITIES,
        finds_k=True,
        fewest=5,
        shapes=("clusters",),
        memory=matrices(squares=7),
        work=lambda size: float(size.sample) ** 3 + 100.0 * size.items**2,
    ),
    "c2m": Method(
        title="C2M",
        memory=matrices(rows=4),
        # By measurement, a search takes about five seconds a thousand items.
        work=lambda size: float(size.items) * size.width * min(size.items, size.width) + 1e8 * min(size.items, 2000),
        options=C2mOptions,
    ),
    "supreme": Method(title="SUPREME", trains=True, joint=True, options=SupremeOptions),
    "autonovel": Method(title="AutoNovel", trains=True, joint=True, options=AutonovelOptions),
    "dtc": Method(title="DTC", trains=True, joint=True, options=DtcOptions),
    "dec": Method(title="DEC", trains=True, joint=True, options=DecOptions),
}
"""The methods by name, the default first."""
DECLARED["cluster"] = METHODS


def function_of(name: str) -> Callable[..., Any]:
    """Return the function of a method; `solve` describes its arguments and result."""
    function: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), name)
    return function


def with_options(config: ClusterConfig) -> ClusterConfig:
    """Return the settings with the method's options, which are the defaults if the settings have none.

    Raises UsageError for an unknown method, and for options of another one.
    """
    return replace(config, options=options_of(METHODS, config.method, config.options))


def reads_pairs(config: ClusterConfig) -> bool:
    """Return whether the method reads pairs under these settings."""
    method = METHODS[config.method]
    return method.pairs is not Reads.NOTHING and not reads_values(config, only_instead=True)


def reads_values(config: ClusterConfig, *, only_instead: bool = False) -> bool:
    """Return whether the method reads the items' values; with `only_instead`, whether instead of pairs."""
    method = METHODS[config.method]
    instead = method.instead and config.features is not None
    return instead if only_instead or method.instead else method.values


def counts_labels(config: ClusterConfig) -> bool:
    """Return whether the pairs or K come from the labels of the data set."""
    return isinstance(config.pairs, TruePairs | NoisyPairs) or config.k is CountedBy.LABELS
