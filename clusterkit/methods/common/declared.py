"""What a method of clustering declares of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from clusterkit.settings import Options


class Reads(Enum):
    """What a method reads of each pair."""

    NOTHING = "nothing"
    SIGNS = "signs"
    """Whether its items are similar: 1, -1, or 0 where nothing is known."""
    PROBABILITIES = "probabilities"
    """That its items are similar, known of every pair."""
    LOGITS = "logits"
    """As a pair source, batch by batch."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """A problem of N `items` with D values (`width`), the pairs of M of them (`sample`), and K clusters (`k`)."""

    items: int
    sample: int
    width: int
    k: int


def matrices(squares: float = 0, rows: float = 0) -> Callable[[Size], float]:
    """Return the bytes of so many float64 matrices M x M and N x D, as a function of the size."""
    return lambda size: 8 * (squares * float(size.sample) ** 2 + rows * float(size.items) * size.width)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method: its name in tables, what it reads, what it finds and trains, what it costs, and its own options.

    `values` says that it reads the items' values, `instead` that it reads them only in place of pairs, where
    features are asked for. `finds_k` says that the number of clusters is a result, `trains` that it trains a network,
    which can be resumed and shared among processes. `fewest` is how many items it needs. `shapes` names what the pairs
    shape, the metric or the clusters (L2C, table 1). `memory` returns the bytes at the peak and `work` the
    multiplications; both are None for a method that goes through the items in batches. `options` is a dataclass whose
    fields are annotated with flags.
    """

    title: str
    values: bool = True
    instead: bool = False
    pairs: Reads = Reads.NOTHING
    finds_k: bool = False
    trains: bool = False
    fewest: int = 1
    shapes: tuple[str, ...] = ()
    memory: Callable[[Size], float] | None = None
    work: Callable[[Size], float] | None = None
    options: type[Options] = Options
