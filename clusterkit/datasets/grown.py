"""Detection of files that are new or gone since an artifact was made from the user's own data."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment
from clusterkit.artifacts.hdf5 import Array
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import check_dataset
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import parse

DIGEST = "name_digest"
"""The array of a subset that has the digests of its items' names."""


def name_digest(data: Dataset, subset: Subset) -> NDArray[np.uint64] | None:
    """Return a digest (N,) of each item's name, 8 bytes of blake2b; None unless they are named items of the user."""
    if subset.names is None or parse(data.name).is_named:
        return None
    names = (name.encode("utf-8", "surrogateescape") for name in subset.names)
    return np.frombuffer(b"".join(blake2b(name, digest_size=8).digest() for name in names), "<u8")


def changes(data: Dataset, recorded: Iterable[Array | None]) -> str:
    """Return how many items are new and gone since digests of all subsets were recorded; "" if some were not."""
    before, now = list(recorded), [name_digest(data, subset) for subset in data.subsets]
    if any(part is None for part in [*before, *now]):
        return ""
    old, new = ({int(digest) for part in parts if part is not None for digest in part} for parts in (before, now))
    added, gone = len(new - old), len(old - new)
    kind = "file" if data.subsets[0].files is not None else "item"
    if not (added or gone):
        return f"no {kind} is new or gone, but some have changed"
    return f"{added} {kind}{' is' if added == 1 else 's are'} new and {gone} {'is' if gone == 1 else 'are'} gone"


def changes_since(header: Header, assignments: Mapping[str, Assignment], data: Dataset) -> str:
    """Return what `changes` does since assignments were made; "" if they are of the same content, or of other data."""
    before = header.dataset
    if before.get("name") != data.name or before.get("fingerprint") == data.fingerprint:
        return ""
    return changes(data, (assignment.name_digest for assignment in assignments.values()))


def check_content(header: Header, path: Path, data: Dataset, recorded: Iterable[Array | None]) -> None:
    """Raise InputError if an artifact was made from another data set or from other content, and say what changed.

    `recorded` are the digests of names that the artifact holds, by subset.
    """
    changed = changes(data, recorded) if header.dataset.get("fingerprint") != data.fingerprint else ""
    check_dataset(header, path, data.name, data.fingerprint, data.reading, changed)
