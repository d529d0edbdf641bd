"""Items, pairs and constraints of a Python program, with the checks of the files of a command."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.arrays import PREFIXES, to_raw
from clusterkit.datasets.base import Dataset, Request, Subset
from clusterkit.datasets.catalogue import polarity_like
from clusterkit.datasets.tables import Content
from clusterkit.errors import InputError, UsageError
from clusterkit.networks.start import Start
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.links import Link, closure, contradiction
from clusterkit.pairs.source import CERTAIN, ROWS, PairSource

ARRAYS = Path("arrays")
"""A placeholder for the file in messages about arrays. It is cut from the messages."""
REMEDY = "divide x by its largest possible value, such as 255"
Links = Sequence[Link]
LISTS = {"must_link": True, "cannot_link": False}
ROUNDING = 1e-6
"""The largest accepted difference between the probabilities of a pair in both orders."""


def read_items(x: Any, start: Start) -> Dataset:
    """Return the items of x as a data set named x.

    Images get the size, channels and polarity of the network to start from.

    Raises UsageError for an array without items, or with items that the network cannot read.
    """
    source = PREFIXES[str(ARRAYS)]
    shape = None if start.any is None else start.any.architecture.shape
    size, channels = (shape[1], shape[0]) if shape is not None and len(shape) == 3 else (source.size, None)
    trained = None if start.header is None else start.header.dataset
    inverted, unclear = polarity_like(f"arrays:{ARRAYS}", trained)
    request = Request(ARRAYS, size, channels, inverted=inverted, unclear=unclear)
    try:
        raw = to_raw(Content(plain_array(x, "x")), request, ARRAYS, REMEDY)
    except InputError as error:
        raise UsageError(str(error).removeprefix(f"{ARRAYS}: ")) from error
    subset = Subset("all", raw.images, torch.arange(len(raw.images)), None)
    data = Dataset("x", raw.kind or Kind.VECTORS, (subset,), (), "", size)
    if shape is not None and data.shape != tuple(shape):
        raise UsageError(
            f"--init: x holds items of shape {data.shape}, but the network was trained on {tuple(shape)}; "
            "give items of that shape, or another network"
        )
    return data


def plain_array(values: Any, name: str) -> NDArray[Any]:
    """Return values as an array. Raises UsageError for ragged lists and for masked values."""
    if np.ma.is_masked(values):
        raise UsageError(f"{name}: has masked values; fill them in or leave these items out")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UsageError(f"{name}: its rows have different lengths; give an array") from error


def read_pairs(pairs: Any, links: Links, count: int, *, weight: float | None, every: bool, method: str) -> PairSource:
    """Return the pairs of N items from probabilities (N, N), or without any if `pairs` is None, under the user's links.

    Each link counts as `weight` other pairs; None stands for the weight that `constrain` chooses.

    Raises UsageError for an array of another shape, for values outside 0..1 or different in both orders, and for an
    unknown pair if the method needs `every` pair. Raises TypeError for an array that does not hold numbers.
    """
    if pairs is None and every:
        raise UsageError(f"--pairs: --method {method} needs the probability of every pair; give pairs (N, N)")
    base: PairSource | None = None
    if pairs is not None:
        logits = logits_of(pairs, count)
        unknown = int(logits.isnan().sum())
        if unknown == count * (count - 1) and not links:
            raise UsageError("--pairs: all values are NaN, so nothing is known of any pair; give some probabilities")
        if every and unknown:
            raise UsageError(
                f"--pairs: {unknown} values are NaN, and --method {method} needs all pairs; fill them in or use "
                "--method ccn"
            )
        base = DensePairs(logits)
    return constrain(base, closure(links, count), weight)


def logits_of(pairs: Any, count: int) -> torch.Tensor:
    """Return the logits (N, N) of probabilities (N, N), clamped to those of certain pairs.

    The diagonal is ignored: every item is similar to itself.
    """
    array = plain_array(pairs, "--pairs")
    if array.dtype.kind not in "buif":
        raise TypeError(f"--pairs must be an array of numbers, not of {array.dtype}")
    if array.shape != (count, count):
        raise UsageError(f"--pairs: shape {array.shape}, and x has {count} items; give shape ({count}, {count})")
    logits = torch.empty(count, count)
    # Blocks of rows avoid a whole matrix in float64.
    for start in range(0, count, ROWS):
        block = slice(start, start + ROWS)
        forth, back = array[block].astype(np.float64), array[:, block].T.astype(np.float64)
        for part in (forth, back):
            np.fill_diagonal(part[:, block], 1)
        check_probabilities(forth, back, start)
        logits[block] = torch.from_numpy((forth + back) / 2).logit().clamp_(-CERTAIN, CERTAIN)
    return logits


def check_probabilities(forth: NDArray[np.float64], back: NDArray[np.float64], start: int) -> None:
    """Raise UsageError unless rows (R, N) of pairs, from row `start` on, are probabilities equal in both orders."""
    outside = np.argwhere((forth < 0) | (forth > 1))
    if len(outside):
        i, j = outside[0]
        raise UsageError(
            f"--pairs: [{start + i}, {j}] is {forth[i, j]:g}; give probabilities from 0 to 1 that two items are "
            "similar, or NaN for an unknown pair"
        )
    unequal = np.argwhere(~((np.abs(forth - back) <= ROUNDING) | (np.isnan(forth) & np.isnan(back))))
    if len(unequal):
        i, j = unequal[0]
        raise UsageError(
            f"--pairs: [{start + i}, {j}] is {forth[i, j]:g} and [{j}, {start + i}] is {back[i, j]:g}; give one value "
            "for both, as (pairs + pairs.T) / 2 does"
        )


def read_links(constraints: Any, count: int) -> Links:
    """Return the links among N items from the lists `must_link` and `cannot_link` of pairs of positions.

    Raises TypeError for anything but these lists, and UsageError for a pair with an unknown item, of an item with
    itself, or that cannot be together although must-links tie it.
    """
    if constraints is None:
        return []
    if not (isinstance(constraints, Mapping) and set(constraints) <= set(LISTS)):
        raise TypeError(f"constraints must be a dict with the lists {' and '.join(LISTS)}, not {constraints!r}")
    links: dict[tuple[int, int, bool], Link] = {}
    for name, must in LISTS.items():
        pairs = constraints.get(name)
        if not isinstance(pairs, Iterable | None):
            raise TypeError(f"{name} must be a list of pairs of positions, not {pairs!r}")
        for number, pair in enumerate([] if pairs is None else pairs):
            a, b = two_items(pair, f"{name}[{number}]", count)
            links.setdefault((min(a, b), max(a, b), must), Link(a, b, must, number))
    wrong = contradiction(list(links.values()))
    if wrong is not None:
        tie = ", ".join(f"must_link[{link.place}]" for link in wrong.chain)
        raise UsageError(
            f"cannot_link[{wrong.cannot.place}]: items {wrong.items[0]} and {wrong.items[-1]} cannot be together, but "
            f"{tie} {'ties' if len(wrong.chain) == 1 else 'tie'} them ({' - '.join(map(str, wrong.items))}); remove one"
        )
    return list(links.values())


def two_items(pair: Any, where: str, count: int) -> tuple[int, int]:
    """Return the two positions of a pair. Messages of errors begin with `where`."""
    try:
        if any(isinstance(item, bool | np.bool_) for item in pair):
            raise TypeError("a bool is no position")
        a, b = (operator.index(item) for item in pair)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where} must be two positions of items, not {pair!r}") from error
    for item in (a, b):
        if not 0 <= item < count:
            raise UsageError(f"{where}: no item {item}; x has {count} items, counted from 0")
    if a == b:
        raise UsageError(f"{where}: pairs item {a} with itself; name two items")
    return a, b
