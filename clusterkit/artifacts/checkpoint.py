"""Checkpoints: state dicts in safetensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from clusterkit.artifacts.files import atomic
from clusterkit.artifacts.header import KEY, Header, check_digest, damaged, maker, parse_header
from clusterkit.errors import InputError


def write_checkpoint(path: Path, header: Header, tensors: Mapping[str, Tensor], *, durable: bool = True) -> None:
    """Write tensors of any device under a header, atomically."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {KEY: header.to_json(digests(state))}
    with atomic(path, durable=durable) as temporary:
        temporary.write_bytes(safetensors.torch.save(state, metadata))


def read_checkpoint(path: Path, format: str) -> tuple[Header, dict[str, Tensor]]:
    """Read a checkpoint of one format. Raises InputError for a file that is missing, foreign or damaged."""
    content = read_bytes(path, format)
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        state = safetensors.torch.load(content)
    except (
        safetensors.SafetensorError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        if KEY.encode() in content[:4096]:
            raise damaged(path, format) from error
        raise InputError(f"{path}: not a clusterkit checkpoint; make one with: {maker(format)}") from error
    header = parse_header(metadata.get(KEY) if isinstance(metadata, dict) else None, format, path)
    check_digest(header, digests(state), path)
    return header, state


def read_bytes(path: Path, format: str) -> bytes:
    """Read a file whole. Raises InputError where it is missing, empty, a folder or unreadable."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make it with: {maker(format)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not content:
        raise InputError(f"{path}: empty; make it again with: {maker(format)}")
    return content


def digests(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the sha256 of each tensor's type, shape and bytes."""
    return {name: _digest(tensor) for name, tensor in state.items()}


def _digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    flat = tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
    digest.update(np.ascontiguousarray(flat.numpy()).data)
    return digest.hexdigest()
