"""load: any artifact as plain Python values and NumPy arrays."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.header import Header
from clusterkit.artifacts.history import Row, history_rows
from clusterkit.artifacts.summary import read_any
from clusterkit.python.frames import to_frame


class Artifact(Mapping[str, Any]):
    """What a file holds, by name.

    Assignments and pairs hold for each subset the arrays by name, a network its tensors as arrays by name, and a result
    in JSON its members. `header` is a dict of what docs/artifacts.md says of headers.
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
        """The mean losses of each epoch of a network's training, as dicts. Raises InputError where there are none."""
        return history_rows(self._header, self.path)

    def to_pandas(self) -> Any:
        """Return a data frame of pandas.

        It has a row an item of assignments, a row a subset of an evaluation or of estimates of K, and a row an epoch of
        a network's training. Raises ImportError where pandas is not installed, and TypeError for pairs, which are no
        table.
        """
        return to_frame(self)


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read an artifact whole and check its digest, as `clusterkit inspect` does.

    Raises FileNotFoundError for a file that is missing, and InputError for one that is foreign or damaged.
    """
    place = Path(path)
    return Artifact(place, *read_any(place))


def as_array(value: Any) -> Any:
    """Return a tensor as an array, float32 where NumPy lacks its type, and anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
