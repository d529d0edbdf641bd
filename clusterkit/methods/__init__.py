"""The methods of clustering and what each declares. Nothing heavy is imported before a method runs.

A method is the function of its own name in the file of its own name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Annotated, Any

from clusterkit.config import Backbone, ClusterConfig, Optimizer, Precision, Variation
from clusterkit.errors import UsageError
from clusterkit.losses import WITH_MARGIN, Loss, parse_loss
from clusterkit.methods.common.declared import Method, Reads, matrices
from clusterkit.settings import File, Flag, Init, Options, parse_init

LANDMARKS = 1000
"""At most, of lsc; of a small set, half as many as it has items."""


@dataclass(frozen=True, kw_only=True)
class CcnOptions(Options):
    """How the clustering network is trained."""

    loss: Annotated[Loss, Flag(help="Pair loss (mcl is ccl).", read=parse_loss, metavar="[kcl|ccl]")] = Loss.CCL
    sigma: Annotated[float, Flag(help="Margin of kcl.", min=0)] = 2.0
    init: Annotated[
        Init | File,
        Flag(
            help="Train a whole network from random weights, or from those of a file of pretrain or train-g; or with "
            "g only a head on the features of G, which is quicker.",
            read=parse_init,
            metavar="[random|g|FILE]",
        ),
    ] = Init.RANDOM
    backbone: Annotated[Backbone, Flag(help="The network under the clusters.")] = Backbone.CONV4
    epochs: Annotated[
        int | None,
        Flag(help="Passes over each subset.", min=1, default="until each pair met 7.5 times, in 250 to 5,000 batches"),
    ] = None
    batch_size: Annotated[int | None, Flag(help="Images in a batch.", min=2, default="100, and 200 with --init g")] = (
        None
    )
    learning_rate: Annotated[float, Flag(help="The highest learning rate.", min=0)] = 1e-3
    optimizer: Annotated[Optimizer, Flag(help="Adam, or sgd with momentum.")] = Optimizer.ADAM
    drop_every: Annotated[
        int | None,
        Flag(help="Epochs after which the rate is divided by ten.", min=1, default="the rate follows a cosine"),
    ] = None
    variation: Annotated[
        Variation, Flag(help="How much characters are varied: strong also bends them, erased blanks parts of them.")
    ] = Variation.MILD
    rounds: Annotated[
        int,
        Flag(
            help="Trainings one after another: each but the first learns the clusters of the one before that the "
            "nearest neighbours of each image confirm.",
            min=1,
        ),
    ] = 1
    precision: Annotated[Precision, Flag(help="Of the training: fp32, or faster tf32 (on CUDA) or bf16.")] = (
        Precision.FP32
    )

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        if self.loss not in WITH_MARGIN and is_given("sigma"):
            raise UsageError(f"--sigma: --loss {self.loss} has no margin; leave it out or use --loss kcl")
        if self.init is not Init.RANDOM and is_given("backbone"):
            whose = "G's" if self.init is Init.G else "that of the file"
            raise UsageError(f"--backbone: --init {self.init} takes {whose}; leave one of them out")
        if self.init is Init.G and self.precision is Precision.BF16:
            raise UsageError("--precision bf16: --init g trains no backbone; leave it out")
        if self.init is Init.G and not isinstance(config.pairs, File):
            raise UsageError(f"--init g: no G predicted --pairs {config.pairs}; leave it out")


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Options):
    """Whether the pairs of all items are used, or those among a random sample of them."""

    max_pairs: Annotated[
        int | None,
        Flag(help="Use only the pairs among so many random images that there are no more.", min=4, default="all"),
    ] = None


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
        # Ten times as many as there are: those of sparse matrices are slower.
        work=lambda size: 4000.0 * size.items * size.k * size.width,
    ),
    "lsc": Method(
        title="LSC",
        memory=lambda size: matrices(rows=5)(size) + 16 * size.items * LANDMARKS,
        work=lambda size: 7.0 * size.items * LANDMARKS * size.width + 200.0 * size.items * size.k**2,
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
}
"""The methods by name, the default first."""


def function_of(name: str) -> Callable[..., Any]:
    """Return the function of a method; see `solve` for what it takes and gives."""
    function: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), name)
    return function


def with_options(config: ClusterConfig) -> ClusterConfig:
    """Return settings of which the method's own options are there, at their defaults where none were given."""
    check_method(config.method)
    return config if config.options is not None else replace(config, options=METHODS[config.method].options())


def check_method(name: str) -> None:
    """Raise UsageError for a method that is none."""
    if name not in METHODS:
        raise UsageError(f"--method {name}: choose of {', '.join(METHODS)}")


def reads_pairs(config: ClusterConfig) -> bool:
    """Return whether the method reads the pairs."""
    method = METHODS[config.method]
    return method.pairs is not Reads.NOTHING and not reads_values(config, only_instead=True)


def reads_values(config: ClusterConfig, *, only_instead: bool = False) -> bool:
    """Return whether the method reads the values of the items; with `only_instead`, whether in place of the pairs."""
    method = METHODS[config.method]
    instead = method.instead and config.features is not None
    return instead if only_instead or method.instead else method.values
