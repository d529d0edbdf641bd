"""What a user knows of some items: constraints, and examples with labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.files import sha256
from clusterkit.console import warn_all
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.pairs.examples import Examples, read_examples
from clusterkit.pairs.held import count_held
from clusterkit.pairs.links import Closure, Link, closure
from clusterkit.pairs.read_links import check_links, read_links


@dataclass(frozen=True)
class UserLinks:
    """The constraints and the examples of each subset that has any, and the hashes of their files."""

    constraints: Mapping[str, list[Link]] = field(default_factory=dict)
    examples: Mapping[str, Examples] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    def closure(self, subset: Subset) -> Closure:
        """Return what follows from the links of a subset."""
        return closure(joined(subset.name, self.constraints, self.examples), len(subset))

    def fewest(self, subset: str) -> int:
        """Return the number of labels of the examples of a subset."""
        return len(self.examples[subset].by_label) if subset in self.examples else 0

    def results(
        self, data: Dataset, clusters: Mapping[str, NDArray[np.integer]], ks: Mapping[str, int]
    ) -> tuple[dict[str, Any], list[str]]:
        """Return for the header how many constraints hold and the names of the clusters, and the warnings.

        `clusters` (N,) and their numbers K are by subset.
        """
        held, warnings = count_held(data, self.constraints, clusters)
        fields: dict[str, Any] = {"constraints": held} if held else {}
        if self.examples:
            fields["names"] = {title: known.names(clusters[title], ks[title]) for title, known in self.examples.items()}
        for title, known in self.examples.items():
            warnings += warn_all(known.doubts(title, clusters[title]))
        return fields, warnings


def joined(subset: str, constraints: Mapping[str, list[Link]], examples: Mapping[str, Examples]) -> list[Link]:
    """Return all links of a subset."""
    return [*constraints.get(subset, []), *(examples[subset].links() if subset in examples else [])]


def read_user_links(constraints: Path | None, examples: Path | None, data: Dataset) -> UserLinks:
    """Read the files of constraints and of examples.

    Raises InputError for a file that is missing, damaged or names unknown items, and for links that contradict each
    other.
    """
    links = {} if constraints is None else read_links(constraints, data)
    known = {} if examples is None else read_examples(examples, data)
    if constraints is not None and examples is not None:
        every = {subset.name: joined(subset.name, links, known) for subset in data.subsets}
        check_links(every, data, constraints, examples)
    files = {"constraints": constraints, "examples": examples}
    return UserLinks(links, known, {name: sha256(path) for name, path in files.items() if path is not None})
