"""Declarations of clustering methods."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from clusterkit.settings import Options


class Reads(Enum):
    """Form of the pairs that a method reads."""

    NOTHING = "nothing"
    SIGNS = "signs"
    """1 for a similar pair, -1 for a dissimilar pair, 0 for an unknown pair."""
    PROBABILITIES = "probabilities"
    """Probability of each pair to be similar, known for every pair."""
    LOGITS = "logits"
    """Logits from a pair source, batch by batch."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """A problem of N `items` with D values (`width`), the pairs of M of them (`sample`), and K clusters (`k`)."""

    items: int
    sample: int
    width: int
    k: int


def matrices(squares: float = 0, rows: float = 0) -> Callable[[Size], float]:
    """Return the bytes of `squares` matrices M x M and `rows` matrices N x D of float64, as a function of the size."""
    return lambda size: 8 * (squares * float(size.sample) ** 2 + rows * float(size.items) * size.width)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method: its name in tables, what it reads, finds, trains and costs, and its options.

    `values` says that it reads the items' values, and `instead` that it reads them in place of pairs if features are
    set. `idle_alone` says that it does not read the pairs if constraints are all there are. `finds_k` says that the
    number of clusters is a result. `trains` says that it trains a network, which can be resumed and shared among
    processes, and `joint` that it learns features and clusters together, without pairs. `fewest` is the smallest number
    of items. `shapes` names what the pairs shape, the metric or the clusters (L2C, table 1). `memory` returns the bytes
    at the peak, and `work` the multiplications; both are None for a method that reads items in batches. `options` is a
    dataclass whose fields are annotated with flags.
    """

    title: str
    values: bool = True
    instead: bool = False
    pairs: Reads = Reads.NOTHING
    idle_alone: bool = False
    finds_k: bool = False
    trains: bool = False
    joint: bool = False
    fewest: int = 1
    shapes: tuple[str, ...] = ()
    memory: Callable[[Size], float] | None = None
    work: Callable[[Size], float] | None = None
    options: type[Options] = Options
