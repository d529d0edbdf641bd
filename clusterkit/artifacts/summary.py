"""The header and the content of any file of clusterkit."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy import ndarray
from torch import Tensor

from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.hdf5 import MAGIC, read_hdf5
from clusterkit.artifacts.header import Header, reading
from clusterkit.artifacts.json_file import read_json


def read_any(path: Path) -> tuple[Header, dict[str, Any]]:
    """Return the header and the content of a file: tensors by name, arrays by subset and name, or JSON values.

    Raises InputError if the file is missing, foreign or damaged.
    """
    with reading(path, "any") as file:
        start = file.read(len(MAGIC))
    if start == MAGIC:
        return read_hdf5(path, "any")
    if start.lstrip()[:1] == b"{":
        return read_json(path, "any")
    return read_checkpoint(path, "any")


def summarise(path: Path) -> dict[str, Any]:
    """Return the header and the content of a file, with the type and shape in place of arrays.

    Tensors of a network are only counted. Raises InputError if the file is missing, foreign or damaged.
    """
    header, content = read_any(path)
    tensors = [value for value in content.values() if isinstance(value, Tensor)]
    if tensors:
        content = {"tensors": len(tensors), "parameters": sum(tensor.numel() for tensor in tensors)}
    return {"header": asdict(header), "content": _described(content)}


def _described(value: Any) -> Any:
    """Return content with the type and shape in place of arrays."""
    if isinstance(value, dict):
        return {name: _described(part) for name, part in value.items()}
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, ndarray) else value
