"""Features on disk, kept by the content of pictures, so that a fixed backbone embeds no picture twice."""

import hashlib
import json
import shutil
import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit import __version__, console
from clusterkit.artifacts.files import atomic, sha256, write_text
from clusterkit.artifacts.header import canonical
from clusterkit.artifacts.work_folder import in_turn
from clusterkit.config import cache_folder
from clusterkit.datasets.decoded import decoders
from clusterkit.errors import InputError
from clusterkit.features import own_models
from clusterkit.features.models import Model

FORM = 1
"""Increase it with every change of the features of a picture or of their files, so that older files are not read."""
MARGIN = 2**30
"""Bytes of the disk that the kept features leave free."""
MOST_MAPS = 2e9
"""Bytes up to which the maps of a set, which the last blocks of a backbone read, are kept."""
HEAD = struct.Struct("<8sII")
"""The start of a file: a mark, the number M of items, and the number D of features."""
MARK = b"ckrows1\n"
DIGEST = hashlib.sha256().digest_size
LOCK = ".lock"
BESIDE = ("licence", "weights", "learned_from")
"""The parts of a model's header entry on which its features do not depend."""


@dataclass
class Store:
    """The folder of the features by one model on one kind of device; it `keeps` them unless it cannot be written.

    Its files hold a part of the items each and are never changed: `HEAD`, the keys of M items (sha256, 32 bytes each),
    the sha256 of all before, the features as float32 (M, D), and their sha256. A damaged file is removed if possible.
    """

    model: Model
    device: str
    keeps: bool = True

    @cached_property
    def folder(self) -> Path:
        header = {key: value for key, value in self.model.to_header().items() if key not in BESIDE}
        library = self.model.name.partition(":")[0]
        # The version of clusterkit stays the same while its own features are developed.
        own = f"{__version__} {sha256(Path(own_models.__file__))}"
        made_by = own if library == "clusterkit" else version(library)
        about = [FORM, header, self.device, "float32", torch.__version__, made_by, decoders()]
        return cache_folder() / "features" / hashlib.sha256(canonical(about).encode()).hexdigest()[:32]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and let one process at a time read and write it.

        Without a folder that can be written the block runs all the same, and nothing is kept.
        """
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                about = self.folder / "model.json"
                if not about.exists():
                    write_text(about, json.dumps({**self.model.to_header(), "device": self.device}) + "\n")
                waiting = f"another command embeds pictures by {self.model.name}; waiting for its features"
                stack.enter_context(in_turn(self.folder / LOCK, waiting))
            except (OSError, InputError) as error:
                self._refuse(error)
            yield

    def read(self, keys: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the kept features (D,) of items by key."""
        wanted, rows = set(keys), {}
        for path in sorted(self.folder.glob("*.rows")):
            try:
                present = _read_keys(path, self.model.width)
                if wanted.isdisjoint(present):
                    continue
                for key, row in zip(present, _read_rows(path, len(present), self.model.width), strict=True):
                    if key in wanted:
                        rows[key] = row
            except ValueError:
                console.once(f"{path}: damaged, so its features are made again")
                with suppress(OSError):
                    path.unlink()
            except OSError as error:
                console.once(f"{path}: cannot be read ({error.strerror}), so its features are made again")
        return rows

    def write(self, keys: Sequence[bytes], rows: NDArray[np.float32]) -> None:
        """Keep the features (M, D) of items. If that fails, log why; the features are made again next time."""
        if not (keys and self.keeps):
            return
        start = HEAD.pack(MARK, len(keys), self.model.width) + b"".join(keys)
        name = hashlib.sha256(start).digest()
        values = np.ascontiguousarray(rows, "<f4")
        try:
            if shutil.disk_usage(self.folder).free < values.nbytes + MARGIN:
                raise OSError(f"less than {console.size(MARGIN)} of the disk are free")
            with atomic(self.folder / f"{name.hex()[:32]}.rows") as temporary, temporary.open("wb") as file:
                for part in (start, name, values.data, hashlib.sha256(values.data).digest()):
                    file.write(part)
        except (OSError, InputError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        """Keep nothing from now on, and log why."""
        self.keeps = False
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = getattr(cause, "strerror", None) or str(cause)
        console.once(f"{self.folder}: cannot keep features there ({reason}); every command embeds the pictures again")


def _read_keys(path: Path, width: int) -> list[bytes]:
    """Return the keys in a file. Raises ValueError if it is damaged."""
    with path.open("rb") as file:
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            raise ValueError("truncated")
        mark, count, columns = HEAD.unpack(head)
        length = HEAD.size + count * DIGEST + DIGEST + 4 * count * columns + DIGEST
        if mark != MARK or columns != width or path.stat().st_size != length:
            raise ValueError("of another form")
        keys = file.read(count * DIGEST)
        if hashlib.sha256(head + keys).digest() != file.read(DIGEST):
            raise ValueError("changed")
    return [keys[at : at + DIGEST] for at in range(0, len(keys), DIGEST)]


def _read_rows(path: Path, count: int, width: int) -> NDArray[np.float32]:
    """Return the features (M, D) in a file. Raises ValueError if it is damaged."""
    with path.open("rb") as file:
        file.seek(HEAD.size + count * DIGEST + DIGEST)
        values, digest = file.read(4 * count * width), file.read()
    if hashlib.sha256(values).digest() != digest:
        raise ValueError("changed")
    return np.frombuffer(values, "<f4").reshape(count, width)
