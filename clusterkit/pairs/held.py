"""How many constraints of the user hold in a clustering."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clusterkit.console import warn_all
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.pairs.links import Link, held_counts, holding

log = logging.getLogger("clusterkit")

SHOWN = 3
"""Constraints that do not hold and that a warning names."""


def count_held(
    data: Dataset, constraints: Mapping[str, Sequence[Link]], clusters: Mapping[str, NDArray[np.integer]]
) -> tuple[dict[str, dict[str, dict[str, int]]], list[str]]:
    """Return and log how many constraints hold in each subset that has any, and the warnings of those that do not.

    `constraints` are by subset and position, and `clusters` (N,) by subset.
    """
    counts, warnings = {}, []
    for subset in data.subsets:
        links = constraints.get(subset.name)
        if links is None:
            continue
        holds = holding(links, clusters[subset.name])
        counts[subset.name] = held = held_counts(links, holds)
        log.info(
            "cluster %s: %d of %d must-links and %d of %d cannot-links hold",
            subset.name, held["must"]["held"], held["must"]["of"], held["cannot"]["held"], held["cannot"]["of"],
        )  # fmt: skip
        broken = [link for link, hold in zip(links, holds, strict=True) if not hold]
        if broken:
            warnings.append(f"cluster {subset.name}: these constraints do not hold: {named(broken, subset)}")
    return counts, warn_all(warnings)


def named(links: Sequence[Link], subset: Subset) -> str:
    """Return the items of the first links, by name or id, and how many more links there are."""
    names = [
        f"{subset.title(link.a)} and {subset.title(link.b)} ({'must' if link.must else 'cannot'})"
        for link in links[:SHOWN]
    ]
    return ", ".join(names) + (f", and {len(links) - SHOWN} more" if len(links) > SHOWN else "")
