"""The small labelled sets from which a critic learns (C2M, section 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.device import derive_seed
from clusterkit.errors import InputError

POINTS, POOL = 200, 1500
"""Items of a small set, and of the random part of a subset from which all its small sets are drawn."""
MOST_CLASSES = 50
"""The largest number of classes of a small set: that of the clusters in the paper."""


def draw(data: Sequence[Dataset], count: int, seed: int) -> list[tuple[Dataset, Subset]]:
    """Return `count` small sets of labelled sets, each with the set that it is from.

    The subsets take turns in random order. One of at most 200 items is taken whole. Of a larger one, a small set has
    200 random items, of a random number of classes. Subsets with less than two classes of two items are left out, which
    is logged. Raises InputError if none is left.
    """
    usable = [(each, subset) for each in data for subset in each.subsets if len(repeated(subset.labels)) > 1]
    left_out = sum(len(each.subsets) for each in data) - len(usable)
    if not usable:
        names = ", ".join(each.name for each in data)
        raise InputError(f"{names}: no subset has two classes of at least two items each; name another labelled set")
    if left_out:
        subsets = "1 subset has" if left_out == 1 else f"{left_out} subsets have"
        console.log.warning("train-critic: %s less than two classes of two items, left out", subsets)
    turns = torch.randperm(len(usable), generator=generator_of(seed, "turns")).tolist()
    if count > len(usable) and any(len(subset) <= POINTS for _, subset in usable):
        console.log.info("train-critic: subsets of at most %d items are drawn whole, some more than once", POINTS)
    drawn = [usable[turns[number % len(turns)]] for number in range(count)]
    return [of_subset(data, subset, number, seed) for number, (data, subset) in enumerate(drawn)]


def of_subset(data: Dataset, subset: Subset, number: int, seed: int) -> tuple[Dataset, Subset]:
    """Return the small set with this number of a subset, in random order."""
    generator = generator_of(seed, "items", number)
    if len(subset) > POINTS:
        subset = pool_of(data, subset, seed)
        count = int(torch.randint(2, len(labels_of(subset).unique()) + 1, (1,), generator=generator))
    else:
        count = len(labels_of(subset).unique())
    return data, some(subset, count, POINTS, generator)


def pool_of(data: Dataset, subset: Subset, seed: int) -> Subset:
    """Return the random items of a large subset from which all its small sets are drawn."""
    return some(subset, MOST_CLASSES, POOL, generator_of(seed, "pool", data.name, subset.name))


def some(subset: Subset, classes: int, items: int, generator: torch.Generator) -> Subset:
    """Return at most `items` random items of so many random classes; of each class two, if it has them and they fit."""
    present = repeated(subset.labels) if classes < len(labels_of(subset).unique()) else labels_of(subset).unique()
    chosen = present[torch.randperm(len(present), generator=generator)[:classes]]
    order = torch.randperm(len(subset), generator=generator)
    order = order[torch.isin(labels_of(subset)[order], chosen)]
    labels = labels_of(subset)[order]
    is_one_of_two = torch.cat([(labels == label).nonzero()[:2, 0] for label in chosen])
    later = torch.ones(len(order), dtype=torch.bool)
    later[is_one_of_two] = False
    return subset.take(order[later.long().sort(stable=True).indices[:items]])


def labels_of(subset: Subset) -> Tensor:
    assert subset.labels is not None
    return subset.labels


def repeated(labels: Tensor | None) -> Tensor:
    """Return the classes of at least two items."""
    assert labels is not None
    classes: Tensor
    classes, counts = labels.unique(return_counts=True)
    return classes[(counts > 1) & (classes >= 0)]


def generator_of(seed: int, *purpose: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, "train-critic", *purpose))
