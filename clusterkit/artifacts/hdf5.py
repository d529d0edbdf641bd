"""HDF5 files with the common header: one group per subset, plain arrays, and a digest of all values."""

import hashlib
import io
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.files import atomic, sha256
from clusterkit.artifacts.form import misfit
from clusterkit.artifacts.header import KEY, Header, check_digest, damaged, foreign, parse_header, reading, remedy
from clusterkit.errors import InputError, is_out_of_memory

MAGIC = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 2**20
MAPPED_BYTES = 4 * 10**8
"""Larger arrays are stored in one piece and mapped into memory: float32 factors from 200,000 items at H = 500."""
SEAL = b"\nclusterkit sha256 "
"""Stands after the HDF5 content, before the sha256 of that content in hexadecimal; HDF5 ignores both."""
SEAL_BYTES = len(SEAL) + 64
SEARCHED = 2**12
"""The header key in this many first bytes of a file without a seal shows that clusterkit wrote it."""

Array = NDArray[np.generic]
Place = tuple[slice, ...]


class Blocks:
    """A matrix that is computed while it is written: its blocks come in any order, each with its place."""

    def __init__(
        self, shape: tuple[int, ...], dtype: str, chunk: tuple[int, ...], blocks: Iterable[tuple[Place, Array]]
    ) -> None:
        self.shape, self.dtype, self.chunk, self.blocks = shape, dtype, chunk, blocks


Group = Mapping[str, "Array | Blocks"]


class _Sink(io.FileIO):
    """A file that keeps a write error for later, because the HDF5 library cannot close a file after an error."""

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

    def make_room(self, start: int, size: int) -> None:
        """Allocate bytes on the disk. Raises OSError if the disk is full; a memory map could not report that later."""
        try:
            os.posix_fallocate(self.fileno(), start, size)
        except AttributeError:  # only Linux has it
            self.seek(start)
            for at in range(0, size, CHUNK_BYTES):
                self.write(bytes(min(CHUNK_BYTES, size - at)))
            self.check()
        except OSError as error:
            self.error = error
            raise

    def check(self) -> None:
        """Raise the error of an earlier failed write."""
        if self.error is not None:
            raise self.error


def write_hdf5(path: Path, header: Header, groups: Mapping[str, Group]) -> None:
    """Write groups of arrays with a header, atomically. Raises InputError if the file cannot be written."""
    with atomic(path) as temporary:
        fill_hdf5(temporary, header, groups)


def fill_hdf5(temporary: Path, header: Header, groups: Mapping[str, Group]) -> None:
    """Write the content of `write_hdf5` into a temporary file. Raises OSError if it cannot be written."""
    with _Sink(temporary, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                _fill(file, sink, header, groups, temporary.parent)
        finally:
            sink.check()
    mark = SEAL + sha256(temporary).encode()
    with temporary.open("ab") as end:
        end.write(mark)


def _fill(file: h5py.File, sink: _Sink, header: Header, groups: Mapping[str, Group], folder: Path) -> None:
    file.attrs[KEY] = ""  # puts the key at the start, where `check_seal` finds it in a truncated file
    digests = {}
    for title, group in groups.items():
        for name, values in group.items():
            digests[f"{title}/{name}"] = _write(file, sink, f"{title}/{name}", values)
    file.attrs.modify(KEY, header.to_json(digests, folder))


def _write(file: h5py.File, sink: _Sink, name: str, values: "Array | Blocks") -> str:
    """Write one array and return the digest of its values."""
    dtype = np.dtype(values.dtype)
    if not isinstance(values, Blocks):
        row = max(1, int(np.prod(values.shape[1:])) * dtype.itemsize)
        chunk = (max(1, min(len(values), CHUNK_BYTES // row)), *values.shape[1:])
        contiguous = values.size == 0 or values.nbytes >= MAPPED_BYTES
        file.create_dataset(name, data=values, chunks=None if contiguous else chunk)
        return _digest(values)
    if math.prod(values.shape) * dtype.itemsize >= MAPPED_BYTES:
        return _write_whole(file, sink, name, values)
    chunk = tuple(min(rows, limit) for rows, limit in zip(values.chunk, values.shape, strict=True))
    target = file.create_dataset(name, values.shape, dtype, chunks=chunk)
    for place, block in values.blocks:
        target[place] = block
        sink.check()
    digest = hashlib.sha256(f"{dtype.str}{tuple(values.shape)}".encode())
    for start in range(0, values.shape[0], chunk[0]):
        digest.update(np.ascontiguousarray(target[start : start + chunk[0]]).data)
    return digest.hexdigest()


def _write_whole(file: h5py.File, sink: _Sink, name: str, values: Blocks) -> str:
    """Write a matrix in one piece and return the digest of its values.

    Blocks are written through a memory map at the offset that HDF5 chose: the library would read the file around each
    row of a block.
    """
    dtype = np.dtype(values.dtype)
    form = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    form.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    form.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    form.set_obj_track_times(False)
    title, _, array_name = name.rpartition("/")
    group, space = file.require_group(title).id, h5py.h5s.create_simple(values.shape)
    start = h5py.h5d.create(group, array_name.encode(), h5py.h5t.py_create(dtype), space, form).get_offset()
    sink.make_room(start, math.prod(values.shape) * dtype.itemsize)
    mapped = np.memmap(sink, dtype, "r+", start, values.shape)
    for place, block in values.blocks:
        mapped[place] = block
    return _digest(mapped)


def read_hdf5(path: Path, format: str) -> tuple[Header, dict[str, dict[str, Array]]]:
    """Read a file of one format. Raises InputError for a file that is missing, foreign or damaged."""
    check_seal(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            header = parse_header(file.attrs.get(KEY), format, path)
            groups = {title: {name: _values(path, file[title][name]) for name in file[title]} for title in file}
    except InputError:
        raise
    except Exception as error:  # h5py raises errors of many types for content it does not expect
        if is_out_of_memory(error):
            raise
        raise damaged(path, format) from error
    digests = {f"{title}/{name}": _digest(array) for title, group in groups.items() for name, array in group.items()}
    check_digest(header, digests, path)
    if fault := misfit(header.format, groups):
        raise InputError(f"{path}: {fault}; {remedy('make it again with', path, header.format)}")
    return header.found_in(path.parent), groups


def _values(path: Path, data: h5py.Dataset) -> Array:
    if data.chunks is None and data.nbytes >= MAPPED_BYTES:
        return np.memmap(path, data.dtype, "c", data.id.get_offset(), data.shape)
    return np.asarray(data[()])


def read_header(path: Path, format: str) -> Header:
    """Read only the header. Raises InputError as `read_hdf5` does."""
    check_seal(path, format)
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            return parse_header(file.attrs.get(KEY), format, path).found_in(path.parent)
    except InputError:
        raise
    except Exception as error:  # as above
        if is_out_of_memory(error):
            raise
        raise damaged(path, format) from error


def check_seal(path: Path, format: str) -> None:
    """Raise InputError unless the file exists and has exactly the bytes that were written.

    The HDF5 library must not open a damaged file: one changed byte can make it crash, loop or take all memory.
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
