"""From a program's own arrays to items and pairs, read as the files of a command would be."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from clusterkit.config import Kind
from clusterkit.datasets.arrays import PREFIXES, to_raw
from clusterkit.datasets.base import Dataset, Request, Subset
from clusterkit.errors import UsageError
from clusterkit.networks.start import Start
from clusterkit.pairs.constraints import WORDS, constrain
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.source import CERTAIN, PairSource
from clusterkit.python.words import ARRAYS

Links = Sequence[tuple[int, int, float]]
LISTS = {"must_link": WORDS["must"], "cannot_link": WORDS["cannot"]}
ROUNDING = 1e-6
"""Up to which the two probabilities of a pair may differ."""


def read_items(x: Any, start: Start) -> Dataset:
    """Return the items of x as a data set named x, images in the form that the network to start from takes.

    Raises InputError for an array that holds no items, and UsageError for items of another form than the network's.
    """
    source = PREFIXES[str(ARRAYS)]
    shape = None if start.any is None else start.any.architecture.shape
    size, channels = (shape[1], shape[0]) if shape is not None and len(shape) == 3 else (source.size, None)
    raw = to_raw({"x": np.asarray(x)}, Request(ARRAYS, size, channels), ARRAYS)
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

    Every item is similar to itself, whatever the diagonal holds. Raises UsageError for an array of another shape, for
    values outside 0..1 or unlike in both orders, and, if the method needs `every` pair, for pairs that are not known.
    """
    if pairs is None and every:
        raise UsageError(f"--pairs: --method {method} needs the probability of every pair; give pairs (N, N)")
    base = torch.full((count, count), torch.nan) if pairs is None else logits_of(pairs, count)
    base.fill_diagonal_(CERTAIN)
    unknown = int(base.isnan().sum())
    if every and unknown:
        raise UsageError(
            f"--pairs: {unknown} values are NaN, and --method {method} needs all pairs; fill them in or use "
            "--method ccn"
        )
    return constrain(DensePairs(base), torch.arange(count), links)


def logits_of(pairs: Any, count: int) -> torch.Tensor:
    """Return the logits (N, N) of probabilities (N, N), between those of pairs that are known for sure."""
    given = np.asarray(pairs)
    if given.dtype.kind not in "buif":
        raise TypeError(f"pairs must be an array of numbers, not of {given.dtype}")
    if given.shape != (count, count):
        raise UsageError(f"--pairs: shape {given.shape}, and x has {count} items; give shape ({count}, {count})")
    found = given.astype(np.float64)
    off = ~np.eye(count, dtype=bool)
    values = found[off & ~np.isnan(found)]
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise UsageError(
            f"--pairs: values from {values.min():g} to {values.max():g}; give probabilities from 0 to 1 that two items "
            "are similar, and NaN where it is not known"
        )
    both = np.isnan(found) & np.isnan(found.T)
    unlike = np.argwhere(off & ~both & ~(np.abs(found - found.T) <= ROUNDING))
    if len(unlike):
        i, j = unlike[0]
        raise UsageError(
            f"--pairs: [{i}, {j}] is {found[i, j]:g} and [{j}, {i}] is {found[j, i]:g}; give one value for both, as "
            "(pairs + pairs.T) / 2 does"
        )
    return torch.from_numpy((found + found.T) / 2).logit().clamp_(-CERTAIN, CERTAIN).float()


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
