"""A cache of decoded images on disk, so that a large folder is decoded once and not in every epoch and command."""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from clusterkit import console
from clusterkit.artifacts.files import write_text
from clusterkit.config import cache_folder
from clusterkit.errors import InputError

FORM = 2
"""Increase it with every change of the pixels that `decode` returns, so that older cached images are not used."""

MARGIN = 4 * 2**30
"""Bytes of the disk that the cache leaves free."""


@dataclass(frozen=True)
class Decoded:
    """A cache file for the images of N files, each uint8 (size, size, C): N checksums of 4 bytes, then N images.

    Any number of processes may write images, in any order: all write the same bytes to the same place. An image that
    does not match its checksum (not written yet, half written or damaged) counts as missing. The file is read without
    a memory map, because truncating a mapped file kills the process.
    """

    paths: tuple[Path, ...]
    size: int
    channels: int

    @property
    def bytes_each(self) -> int:
        return self.size**2 * self.channels

    @cached_property
    def file(self) -> Path | None:
        """The cache file, made sparse if it is missing. It is None, and the reason is logged, if it cannot be made."""
        folder = cache_folder() / "decoded"
        length = len(self.paths) * (4 + self.bytes_each)
        try:
            sources = {source: source.resolve() for source in {path.parent for path in self.paths}}
            parent = os.path.commonpath(sources.values())
            path = folder / f"{self.key(sources)}.raw"
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                old_length = file.tell()
                if old_length != length:
                    file.truncate(length)
            about = {"folder": parent, "images": len(self.paths), "size": self.size, "channels": self.channels}
            write_text(path.with_suffix(".json"), json.dumps(about) + "\n")
        except (OSError, ValueError, InputError) as error:
            console.once(f"{folder}: cannot keep decoded images there ({error}); every epoch decodes them again")
            return None
        if not old_length:
            console.once(f"{parent}: keeping decoded images in {path}, up to {console.size(length)}")
        return path

    def key(self, sources: Mapping[Path, Path]) -> str:
        """Return the hash of all that the pixels depend on; `sources` maps the files' folders to their real paths.

        Raises OSError for a file that cannot be examined.
        """
        digest = hashlib.sha256(f"{FORM} {decoders()} {self.size} {self.channels}\n".encode())
        for path in self.paths:
            status = path.stat()
            digest.update(os.fsencode(sources[path.parent] / path.name))
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:32]

    def missing(self, rows: Sequence[int]) -> list[int]:
        """Return which positions of these rows have no image in the cache; all, if the cache cannot be read."""
        assert self.file is not None
        try:
            sums = np.fromfile(self.file, "<u4", len(self.paths))
            return np.flatnonzero(sums[np.asarray(rows)] == 0).tolist()
        except (OSError, IndexError):
            return list(range(len(rows)))

    def has_room(self, rows: Sequence[int]) -> bool:
        """Return whether the disk has room for the missing ones of these rows; log it if not."""
        assert self.file is not None
        try:
            missing = len(self.missing(sorted(set(rows))))
            free = shutil.disk_usage(self.file.parent).free
        except OSError:
            return False
        if missing and missing * self.bytes_each > free - MARGIN:
            console.once(
                f"{self.file.parent}: too little free disk space to keep decoded images; every epoch decodes them again"
            )
            return False
        return True

    def get(self, row: int) -> NDArray[np.uint8] | None:
        """Return the image of file number `row`, uint8 (size, size, C), or None if it is missing."""
        assert self.file is not None
        image = np.empty((self.size, self.size, self.channels), dtype=np.uint8)
        try:
            with self.file.open("rb", buffering=0) as file:
                file.seek(4 * row)
                checksum = file.read(4)
                if not any(checksum):
                    return None
                file.seek(self._start(row))
                file.readinto(image.data)
        except OSError:
            return None
        return image if _checksum(image) == checksum else None

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        """Write the image of file number `row`. A failed write is ignored: the file is decoded again next time."""
        assert self.file is not None
        with suppress(OSError), self.file.open("rb+", buffering=0) as file:
            if shutil.disk_usage(self.file.parent).free < MARGIN:
                return
            file.seek(self._start(row))
            file.write(np.ascontiguousarray(image).data)
            file.seek(4 * row)
            file.write(_checksum(image))

    def _start(self, row: int) -> int:
        return 4 * len(self.paths) + row * self.bytes_each


def decoders() -> str:
    """Return the versions of the libraries that the pixels of a decoded image depend on."""
    return f"{PIL.__version__} {features.version('libjpeg_turbo')} {version('pillow-heif')}"


def _checksum(image: NDArray[np.uint8]) -> bytes:
    return zlib.crc32(np.ascontiguousarray(image).data).to_bytes(4, "little")
