"""What any artifact is and holds."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.hdf5 import MAGIC, read_hdf5
from clusterkit.artifacts.header import reading
from clusterkit.artifacts.json_file import read_json


def summarise(path: Path) -> dict[str, Any]:
    """Return header and content of an artifact, arrays by type and shape. Raises InputError unless it is whole."""
    with reading(path, "any") as file:
        start = file.read(len(MAGIC))
    content: Any
    if start == MAGIC:
        header, groups = read_hdf5(path, "any")
        content = {
            title: {name: f"{array.dtype} {list(array.shape)}" for name, array in group.items()}
            for title, group in groups.items()
        }
    elif start.lstrip()[:1] == b"{":
        header, content = read_json(path, "any")
    else:
        header, state = read_checkpoint(path, "any")
        content = {
            "tensors": len(state),
            "parameters": sum(tensor.numel() for tensor in state.values()),
        }
    return {"header": asdict(header), "content": content}
