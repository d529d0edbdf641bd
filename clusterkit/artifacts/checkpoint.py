"""Checkpoints: state dicts in safetensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clusterkit.artifacts.files import atomic
from clusterkit.artifacts.header import KEY, Header, check_digest, damaged, foreign, parse_header, reading
from clusterkit.errors import is_out_of_memory

SEARCHED = 2**20
"""The header key in this many first bytes of an unreadable file shows that clusterkit wrote it."""


def write_checkpoint(path: Path, header: Header, tensors: Mapping[str, Tensor], *, durable: bool = True) -> None:
    """Write tensors of any device with a header, atomically. Raises InputError if the file cannot be written."""
    with atomic(path, durable=durable) as temporary:
        temporary.write_bytes(to_bytes(header, tensors, path.parent))


def to_bytes(header: Header, tensors: Mapping[str, Tensor], folder: Path) -> bytes:
    """Return the bytes of a checkpoint file in a folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content: bytes = safetensors.torch.save(state, {KEY: header.to_json(digests(state), folder)})
    return content


def read_checkpoint(path: Path, format: str) -> tuple[Header, dict[str, Tensor]]:
    """Read a checkpoint of one format. Raises InputError for a file that is missing, foreign or damaged."""
    content = read_bytes(path, format)
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        state = safetensors.torch.load(content)
    except Exception as error:  # safetensors raises errors of many types for content it does not expect
        if is_out_of_memory(error):
            raise
        ours = content[8:9] == b"{" and KEY.encode() in content[:SEARCHED]
        raise (damaged(path, format) if ours else foreign(path, format)) from error
    header = parse_header(metadata.get(KEY) if isinstance(metadata, dict) else None, format, path)
    check_digest(header, digests(state), path)
    return header.found_in(path.parent), state


def read_bytes(path: Path, format: str) -> bytes:
    """Read all bytes of a file. Raises InputError as `reading` does."""
    with reading(path, format) as file:
        return file.read()


def digests(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the sha256 of each tensor's type, shape and bytes."""
    return {name: _digest(tensor) for name, tensor in state.items()}


def _digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    # A tensor of one value counts as contiguous whatever its stride, which has to be one here.
    flat = tensor.contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)
    digest.update(flat.numpy().data)
    return digest.hexdigest()
