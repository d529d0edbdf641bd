"""HDF5 files under the common header: one group a subset, plain data sets, a digest over every value."""

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.files import atomic, sha256
from clusterkit.artifacts.header import KEY, Header, check_digest, damaged, foreign, parse_header, reading
from clusterkit.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 2**20
SEAL = b"\nclusterkit sha256 "
"""After the HDF5 content, with the sha256 of all before it in hexadecimal; HDF5 ignores what follows its end."""
SEAL_BYTES = len(SEAL) + 64
SEARCHED = 2**12
"""How far into a file without a seal is looked for a sign that it was once ours."""

Array = NDArray[np.generic]


class Rows:
    """A matrix that is made while it is written: its shape, its type, and its row blocks in order."""

    def __init__(self, shape: tuple[int, ...], dtype: str, blocks: Iterable[Array]) -> None:
        self.shape, self.dtype, self.blocks = shape, dtype, blocks


Group = Mapping[str, "Array | Rows"]


class _Sink(io.FileIO):
    """A file whose failed writes are kept for later: the HDF5 library, told of one, cannot even close the file."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)


def write_hdf5(path: Path, header: Header, groups: Mapping[str, Group]) -> None:
    """Write groups of arrays under a header, atomically; a `Rows` is written block by block."""
    with atomic(path) as temporary:
        with _Sink(temporary, "w+") as sink:
            try:
                with h5py.File(sink, "w") as file:
                    _fill(file, header, groups)
            finally:
                if sink.error is not None:
                    raise sink.error
        mark = SEAL + sha256(temporary).encode()
        with temporary.open("ab") as end:
            end.write(mark)


def _fill(file: h5py.File, header: Header, groups: Mapping[str, Group]) -> None:
    file.attrs[KEY] = ""  # at the start of the file, where `check_seal` finds the key in one that was cut short
    digests = {}
    for title, group in groups.items():
        for name, values in group.items():
            rows = values if isinstance(values, Rows) else Rows(values.shape, values.dtype.str, [values])
            digests[f"{title}/{name}"] = _write(file, f"{title}/{name}", rows)
    file.attrs.modify(KEY, header.to_json(digests))


def _write(file: h5py.File, name: str, rows: Rows) -> str:
    dtype = np.dtype(rows.dtype)
    digest = hashlib.sha256(f"{dtype.str}{tuple(rows.shape)}".encode())
    width = int(np.prod(rows.shape[1:])) * dtype.itemsize
    chunk = (max(1, min(rows.shape[0], CHUNK_BYTES // max(width, 1))), *rows.shape[1:])
    target = file.create_dataset(name, rows.shape, dtype, chunks=None if 0 in rows.shape else chunk)
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
    check_seal(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            header = parse_header(file.attrs.get(KEY), format, path)
            groups = {title: {name: np.asarray(file[title][name][()]) for name in file[title]} for title in file}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py raises errors of many types for content it does not expect
        raise damaged(path, format) from error
    digests = {f"{title}/{name}": _digest(array) for title, group in groups.items() for name, array in group.items()}
    check_digest(header, digests, path)
    return header, groups


def read_header(path: Path, format: str) -> Header:
    """Read the header alone. Raises InputError as `read_hdf5` does."""
    check_seal(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            return parse_header(file.attrs.get(KEY), format, path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as above
        raise damaged(path, format) from error


def check_seal(path: Path, format: str) -> None:
    """Raise InputError unless the file is there and is, byte for byte, what was written.

    The HDF5 library must not see a damaged file: one changed byte can make it crash, loop or take all memory.
    """
    with reading(path, format) as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise foreign(path, format)
        size = file.seek(0, os.SEEK_END) - SEAL_BYTES
        file.seek(max(size, 0))
        mark = file.read()
        file.seek(0)
        if mark[: len(SEAL)] == SEAL:
            digest = hashlib.sha256()
            for at in range(0, size, CHUNK_BYTES):
                digest.update(file.read(min(CHUNK_BYTES, size - at)))
            if digest.hexdigest().encode() == mark[len(SEAL) :]:
                return
        elif KEY.encode() not in file.read(SEARCHED):
            raise foreign(path, format)
    raise damaged(path, format)


def _digest(array: Array) -> str:
    digest = hashlib.sha256(f"{array.dtype.str}{tuple(array.shape)}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
