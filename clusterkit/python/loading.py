"""load: reads any file of clusterkit into plain Python values and NumPy arrays."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.assignments import names_of
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.history import Row, history_rows
from clusterkit.artifacts.summary import read_any
from clusterkit.python.frames import to_frame


class Artifact(Mapping[str, Any]):
    """The content of a file, by name.

    Assignments and pairs hold the arrays of each subset by name, a network its tensors as arrays by name, and a JSON
    result its members. `header` is a dict with the fields that docs/artifacts.md lists.
    """

    def __init__(self, path: Path, header: Header, content: Mapping[str, Any]) -> None:
        self.path = path
        self.header: dict[str, Any] = asdict(header)
        self._header = header
        self._content = {name: as_array(value) for name, value in content.items()}

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"<{self.header['format']} {self.path}: {len(self)} entries>"

    @property
    def history(self) -> list[Row]:
        """The mean losses of each epoch of a network's training, as dicts. Raises InputError if the file has none."""
        return history_rows(self._header, self.path)

    def names(self, subset: str = "all") -> list[str | None] | None:
        """Return the names of a subset's K clusters, which are classes or the labels of examples; None without any."""
        return names_of(self._header, subset)

    def to_pandas(self) -> Any:
        """Return a data frame of pandas.

        It has one row per item of assignments, one row per subset of an evaluation or of estimates of K, and one row
        per epoch of a network's training. Raises ImportError if pandas is not installed, TypeError for pairs, which are
        not a table, and InputError for a network without a history.
        """
        return to_frame(self)


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read a file into memory and check its digest, as `clusterkit inspect` does.

    Raises FileNotFoundError for a missing file, and InputError for a foreign or damaged file.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a string or a path, not {path!r}")
    file = Path(path)
    return Artifact(file, *read_any(file))


def as_array(value: Any) -> Any:
    """Return a tensor as an array, in float32 if NumPy lacks its type, and any other value unchanged."""
    if not isinstance(value, torch.Tensor):
        return value
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
