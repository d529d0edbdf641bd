"""Examples: labels of some items of the target, from which links and the names of clusters follow."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.datasets.base import Dataset
from clusterkit.datasets.labels import SEPARATORS, by_place, of_words
from clusterkit.datasets.lookup import Lookup
from clusterkit.errors import InputError
from clusterkit.pairs.links import Link

SHOWN = 3
"""The most labels that a warning names."""


@dataclass(frozen=True)
class Examples:
    """The examples of one subset: the label of each item by its position, and the line it stands in."""

    labels: Mapping[int, str]
    lines: Mapping[int, int]

    @property
    def by_label(self) -> dict[str, list[int]]:
        """The positions by label; both are sorted."""
        positions: dict[str, list[int]] = defaultdict(list)
        for position, label in sorted(self.labels.items()):
            positions[label].append(position)
        return dict(sorted(positions.items()))

    def links(self) -> list[Link]:
        """Return must-links of the examples of each label, and a cannot-link of each pair of labels."""
        groups = list(self.by_label.values())
        pairs = [(group[0], other, True) for group in groups for other in group[1:]]
        pairs += [(first[0], second[0], False) for first, second in combinations(groups, 2)]
        return [Link(a, b, must, self.lines[a], self.lines[b]) for a, b, must in pairs]

    def names(self, cluster: NDArray[np.integer], k: int) -> list[str | None]:
        """Return the name of each of the K clusters: the label of most of its examples, None without any.

        `cluster` (N,) are those of all items, -1 for none.
        """
        counts: list[Counter[str]] = [Counter() for _ in range(k)]
        for label, positions in self.by_label.items():
            for position in positions:
                if cluster[position] >= 0:
                    counts[cluster[position]][label] += 1
        return [count.most_common(1)[0][0] if count else None for count in counts]

    def doubts(self, title: str, cluster: NDArray[np.integer]) -> list[str]:
        """Return warnings of labels whose examples are in several clusters, and of clusters with several labels."""
        places = {label: set(cluster[positions].tolist()) for label, positions in self.by_label.items()}
        labels = defaultdict(list)
        for label, numbers in places.items():
            for number in numbers - {-1}:
                labels[number].append(label)
        split = [label for label, numbers in places.items() if len(numbers) > 1]
        merged = [" and ".join(names) for names in labels.values() if len(names) > 1]
        warnings = []
        if split:
            warnings.append(f"cluster {title}: examples of one label are in several clusters: {listed(split)}")
        if merged:
            warnings.append(f"cluster {title}: examples of several labels are in one cluster: {listed(merged)}")
        return warnings


def listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def read_examples(path: Path, data: Dataset) -> dict[str, Examples]:
    """Return the examples of each subset that has any, from a table of items, by name or id, and labels.

    Raises InputError for a file that is missing or damaged or has no labels, and for an unknown or repeated item.
    """
    if path.suffix.lower() not in SEPARATORS:
        raise InputError(f"{path}: examples lie in a .csv or .tsv; write lines of NAME,LABEL")
    places = by_place(path, Lookup(data.subsets))
    numbers, classes = of_words([label for _, label in places.values()])
    if numbers is None:
        raise InputError(f"{path}: has no labels; write lines of NAME,LABEL")
    found: dict[str, Examples] = {}
    for number, subset in enumerate(data.subsets):
        rows = {
            position: (line, classes[label])
            for ((part, position), (line, _)), label in zip(places.items(), numbers.tolist(), strict=True)
            if part == number and label >= 0
        }
        if rows:
            labels = {position: label for position, (_, label) in rows.items()}
            found[subset.name] = Examples(labels, {position: line for position, (line, _) in rows.items()})
    return found
