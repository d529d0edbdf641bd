"""Image files that are read while they are used, for folders too large for memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clusterkit import console
from clusterkit.datasets.decode import decode, quiet
from clusterkit.datasets.decoded import Decoded
from clusterkit.errors import InputError

Value = TypeVar("Value")
CHECKED = 64
"""The number of files that one process checks at a time."""


def read_image(path: Path, size: int, channels: int) -> Tensor:
    """Read one image file as uint8 (C, size, size); see `decode`."""
    with quiet():
        return to_tensor(decode(path, size, channels))


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Return pixels (H, W, C) as (C, H, W)."""
    return torch.from_numpy(np.require(pixels, requirements="W")).permute(2, 0, 1)


class _Files(Dataset[Tensor | InputError]):
    """The images of a stream; they are read from the cache `kept` if possible, and written to it if it has room."""

    def __init__(self, stream: "Stream", kept: Decoded | None) -> None:
        self.stream = stream
        self.kept = kept
        self.rows = stream.in_kept()
        self.room = kept is not None and kept.has_room(self.rows)

    def __getitem__(self, position: int) -> Tensor | InputError:
        stream, row = self.stream, self.rows[position]
        pixels = self.kept.get(row) if self.kept else None
        if pixels is None:
            try:
                with quiet():
                    pixels = decode(stream.paths[position], stream.size, stream.channels)
            except InputError as error:
                return error  # raised in a worker, it would arrive with a page of traceback
            if self.kept and self.room:
                self.kept.put(row, pixels)
        return to_tensor(~pixels if stream.invert else pixels)


def _errors(items: Sequence[Tensor | InputError]) -> list[InputError | None]:
    return [item if isinstance(item, InputError) else None for item in items]


def _batch(items: Sequence[Tensor | InputError]) -> Tensor | InputError:
    images = []
    for item in items:
        if isinstance(item, InputError):
            return item
        images.append(item)
    return torch.stack(images)


def _plain_signals(worker: int) -> None:
    """Let the main process handle interrupts, and end on SIGTERM even if the main process handles it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@dataclass(frozen=True)
class Stream:
    """N image files; `invert` turns dark ink on light into bright ink on dark.

    `kept` is the cache of their decoded images, before inversion. `rows` are the numbers (N,) of the files in the
    cache; None if the stream has all files of the cache.
    """

    paths: tuple[Path, ...]
    size: int
    channels: int
    invert: bool = False
    kept: Decoded | None = None
    rows: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images at each tensor of positions as uint8 (B, C, H, W)."""
        positions = [index.tolist() for index in indices]
        # Opening the cache examines every file, which takes longer than decoding one batch.
        kept = self.kept if len(positions) > 1 and self.kept and self.kept.file else None
        for batch in self._loaded(positions, kept, _batch):
            if isinstance(batch, InputError):
                raise batch
            yield batch

    def _loaded(
        self, positions: list[list[int]], kept: Decoded | None, collate: Callable[..., Value]
    ) -> Iterable[Value]:
        """Return the collated images at each list of positions, read in several processes if there are several."""
        return DataLoader(
            _Files(self, kept),
            batch_sampler=positions,
            num_workers=min(os.cpu_count() or 1, 8) if len(positions) > 1 else 0,
            worker_init_fn=_plain_signals,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            generator=torch.Generator(),
        )

    def unreadable(self) -> dict[int, InputError]:
        """Return the errors of unreadable files, by position.

        It reads only files that the cache does not hold, and fills the cache with them.
        """
        kept = self.kept if self.kept and self.kept.file else None
        positions = range(len(self)) if kept is None else kept.missing(self.in_kept())
        blocks = [list(positions[start : start + CHECKED]) for start in range(0, len(positions), CHECKED)]
        found: dict[int, InputError] = {}
        with console.progress("reading images", len(blocks)) as advance:
            for block, errors in zip(blocks, self._loaded(blocks, kept, _errors), strict=True):
                found |= {position: error for position, error in zip(block, errors, strict=True) if error is not None}
                advance()
        return found

    def in_kept(self) -> Sequence[int]:
        """Return the numbers (N,) of the files in `kept`."""
        return range(len(self)) if self.rows is None else self.rows

    def take(self, positions: Tensor) -> "Stream":
        """Return the files at these positions, in the order of the positions."""
        chosen, rows = positions.tolist(), self.in_kept()
        return replace(self, paths=tuple(self.paths[i] for i in chosen), rows=tuple(rows[i] for i in chosen))

    @staticmethod
    def joined(streams: Sequence["Stream"]) -> "Stream":
        """Return streams that were taken from the same stream as one."""
        first = streams[0]
        assert all(stream.kept is first.kept for stream in streams)
        paths = tuple(path for stream in streams for path in stream.paths)
        return replace(first, paths=paths, rows=tuple(row for stream in streams for row in stream.in_kept()))
