"""From a program's own arrays to items and pairs, read as the files of a command would be."""

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.arrays import PREFIXES, to_raw
from clusterkit.datasets.base import Dataset, Request, Subset
from clusterkit.errors import InputError, UsageError
from clusterkit.networks.start import Start
from clusterkit.pairs.constraints import WORDS, constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.source import CERTAIN, ROWS, PairSource

ARRAYS = Path("arrays")
"""Stands for the file in messages about arrays that no file holds, and is cut from them."""
Links = Sequence[tuple[int, int, float]]
LISTS = {"must_link": WORDS["must"], "cannot_link": WORDS["cannot"]}
ROUNDING = 1e-6
"""Up to which the two probabilities of a pair may differ."""


def read_items(x: Any, start: Start) -> Dataset:
    """Return the items of x as a data set named x, images in the form that the network to start from takes.

    Raises UsageError for an array that holds no items, or items of another form than the network's.
    """
    source = PREFIXES[str(ARRAYS)]
    shape = None if start.any is None else start.any.architecture.shape
    size, channels = (shape[1], shape[0]) if shape is not None and len(shape) == 3 else (source.size, None)
    try:
        raw = to_raw({"x": np.asarray(x)}, Request(ARRAYS, size, channels), ARRAYS)
    except InputError as error:
        raise UsageError(str(error).removeprefix(f"{ARRAYS}: ")) from error
    subset = Subset("all", raw.images, torch.arange(len(raw.images)), None)
    data = Dataset("x", raw.kind or Kind.VECTORS, (subset,), (), "", size)
    if shape is not None and data.shape != tuple(shape):
        raise UsageError(
            f"--init: x holds items of shape {data.shape}, the network was trained on {tuple(shape)}; "
            "give such items, or another network"
        )
    return data


def read_pairs(pairs: Any, links: Links, count: int, *, every: bool, method: str) -> PairSource:
    """Return the pairs of N items: their probabilities (N, N), None where nothing is known, under a user's links.

    Raises UsageError for an array of another shape, for values outside 0..1 or unlike in both orders, and, if the
    method needs `every` pair, for pairs that are not known.
    """
    if pairs is None and every:
        raise UsageError(f"--pairs: --method {method} needs the probability of every pair; give pairs (N, N)")
    # Nothing is known of items without labels.
    base: PairSource = LabelPairs(torch.full((count,), -1))
    if pairs is not None:
        logits = logits_of(pairs, count)
        unknown = int(logits.isnan().sum())
        if every and unknown:
            raise UsageError(
                f"--pairs: {unknown} values are NaN, and --method {method} needs all pairs; fill them in or use "
                "--method ccn"
            )
        base = DensePairs(logits)
    return constrain(base, torch.arange(count), links)


def logits_of(pairs: Any, count: int) -> torch.Tensor:
    """Return the logits (N, N) of probabilities (N, N), between those of pairs that are known for sure.

    Every item is similar to itself, whatever the diagonal holds.
    """
    given = np.asarray(pairs)
    if given.dtype.kind not in "buif":
        raise TypeError(f"--pairs must be an array of numbers, not of {given.dtype}")
    if given.shape != (count, count):
        raise UsageError(f"--pairs: shape {given.shape}, and x has {count} items; give shape ({count}, {count})")
    logits = torch.empty(count, count)
    # By blocks of rows, so that no second matrix in float64 is made.
    for start in range(0, count, ROWS):
        block = slice(start, start + ROWS)
        forth, back = given[block].astype(np.float64), given[:, block].T.astype(np.float64)
        for part in (forth, back):
            np.fill_diagonal(part[:, block], 1)
        check_probabilities(forth, back, start)
        logits[block] = torch.from_numpy((forth + back) / 2).logit().clamp_(-CERTAIN, CERTAIN)
    return logits


def check_probabilities(forth: NDArray[np.float64], back: NDArray[np.float64], start: int) -> None:
    """Raise UsageError unless rows (R, N) of pairs, from row `start` on, hold probabilities equal in both orders."""
    outside = np.argwhere((forth < 0) | (forth > 1))
    if len(outside):
        i, j = outside[0]
        raise UsageError(
            f"--pairs: [{start + i}, {j}] is {forth[i, j]:g}; give probabilities from 0 to 1 that two items are "
            "similar, and NaN where it is not known"
        )
    unlike = np.argwhere(~((np.abs(forth - back) <= ROUNDING) | (np.isnan(forth) & np.isnan(back))))
    if len(unlike):
        i, j = unlike[0]
        raise UsageError(
            f"--pairs: [{start + i}, {j}] is {forth[i, j]:g} and [{j}, {start + i}] is {back[i, j]:g}; give one value "
            "for both, as (pairs + pairs.T) / 2 does"
        )


def read_links(constraints: Any, count: int) -> Links:
    """Return the links among N items, of the lists `must_link` and `cannot_link` of pairs of positions.

    Raises TypeError for anything else, and UsageError for a pair that cannot be or is in both lists.
    """
    if constraints is None:
        return []
    if not (isinstance(constraints, Mapping) and set(constraints) <= set(LISTS)):
        raise TypeError(f"constraints must be a dict with the lists {' and '.join(LISTS)}, not {constraints!r}")
    links: dict[tuple[int, int], float] = {}
    for name, value in LISTS.items():
        for number, pair in enumerate([] if constraints.get(name) is None else constraints[name]):
            a, b = two_items(pair, f"{name}[{number}]", count)
            if links.setdefault((min(a, b), max(a, b)), value) != value:
                raise UsageError(f"{name}[{number}]: the pair {a}, {b} is in must_link and in cannot_link")
    return [(a, b, value) for (a, b), value in links.items()]


def two_items(pair: Any, where: str, count: int) -> tuple[int, int]:
    """Return the positions that a pair names; `where` begins the messages of errors."""
    try:
        a, b = (operator.index(item) for item in pair)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where} must be two positions of items, not {pair!r}") from error
    for item in (a, b):
        if not 0 <= item < count:
            raise UsageError(f"{where}: no item {item}; x has {count} items, counted from 0")
    if a == b:
        raise UsageError(f"{where}: pairs item {a} with itself; name two items")
    return a, b
