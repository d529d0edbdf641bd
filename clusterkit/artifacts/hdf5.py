"""HDF5 files under the common header: one group a subset, plain data sets, a digest over every value."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.files import atomic
from clusterkit.artifacts.header import KEY, Header, check_digest, damaged, maker, parse_header
from clusterkit.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 2**20

Array = NDArray[np.generic]


class Rows:
    """A matrix that is made while it is written: its shape, its type, and its row blocks in order."""

    def __init__(self, shape: tuple[int, ...], dtype: str, blocks: Iterable[Array]) -> None:
        self.shape, self.dtype, self.blocks = shape, dtype, blocks


Group = Mapping[str, "Array | Rows"]


def write_hdf5(path: Path, header: Header, groups: Mapping[str, Group]) -> None:
    """Write groups of arrays under a header, atomically; a `Rows` is written block by block."""
    with atomic(path) as temporary:
        digests = {}
        with h5py.File(temporary, "w") as file:
            for title, group in groups.items():
                for name, values in group.items():
                    rows = values if isinstance(values, Rows) else Rows(values.shape, values.dtype.str, [values])
                    digests[f"{title}/{name}"] = _write(file, f"{title}/{name}", rows)
            file.attrs[KEY] = header.to_json(digests)


def _write(file: h5py.File, name: str, rows: Rows) -> str:
    dtype = np.dtype(rows.dtype)
    digest = hashlib.sha256(f"{dtype.str}{tuple(rows.shape)}".encode())
    width = int(np.prod(rows.shape[1:])) * dtype.itemsize
    chunk = (max(1, min(rows.shape[0], CHUNK_BYTES // max(width, 1))), *rows.shape[1:])
    whole = 0 in rows.shape
    target = file.create_dataset(name, rows.shape, dtype, chunks=None if whole else chunk, fletcher32=not whole)
    at = 0
    for block in rows.blocks:
        block = np.ascontiguousarray(block, dtype=dtype)
        if block.size:
            target[at : at + len(block)] = block
        digest.update(block.data)
        at += len(block)
    assert at == rows.shape[0]
    return digest.hexdigest()


def read_hdf5(path: Path, format: str) -> tuple[Header, dict[str, dict[str, Array]]]:
    """Read a file of one format whole. Raises InputError for one that is missing, foreign or damaged."""
    check_magic(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            header = parse_header(file.attrs.get(KEY), format, path)
            groups = {title: {name: np.asarray(file[title][name][()]) for name in file[title]} for title in file}
    except InputError:
        raise
    except Exception as error:  # h5py raises whatever the damaged byte leads it to
        raise damaged(path, format) from error
    found = {f"{title}/{name}": _digest(a) for title, group in groups.items() for name, a in group.items()}
    check_digest(header, found, path)
    return header, groups


def read_header(path: Path, format: str) -> Header:
    """Read the header alone, without checking the values it vouches for."""
    check_magic(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            return parse_header(file.attrs.get(KEY), format, path)
    except InputError:
        raise
    except Exception as error:  # h5py raises whatever the damaged byte leads it to
        raise damaged(path, format) from error


def check_magic(path: Path, format: str) -> None:
    """Raise InputError unless the file is there and begins as HDF5 does."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make it with: {maker(format)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not start:
        raise InputError(f"{path}: empty; make it again with: {maker(format)}")
    if start != MAGIC:
        raise InputError(f"{path}: not a clusterkit {format} file; make one with: {maker(format)}")


def _digest(array: Array) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{tuple(array.shape)}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
