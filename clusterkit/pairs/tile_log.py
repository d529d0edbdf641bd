"""Tiles that are stored on disk as they are computed, so that an interrupted prediction of a large set can resume."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.distributed import first_says, hand_to_first, is_first, rank, size
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tiles import Place, places, tiles

Half = NDArray[np.float16]
CHECK_BYTES = 4
"""Bytes of the CRC-32 that follows each tile."""


def half_tiles(pairs: FactoredPairs, skip: int = 0) -> Iterator[tuple[Place, Half]]:
    """Yield the logits, in float16, of the tiles on and above the diagonal, leaving out the first `skip`.

    Several processes take turns to compute tiles. The first process receives and yields all of them, the others none.
    """
    remaining = list(places(len(pairs)))[skip:]
    computed = tiles(pairs, remaining[rank() :: size()], _to_half)
    for number, place in enumerate(remaining):
        owner = number % size()
        half = next(computed)[1] if owner == rank() else torch.empty(_shape(place)).half()
        hand_to_first(half, owner)
        if is_first():
            yield place, half.numpy()


def _to_half(logits: torch.Tensor) -> torch.Tensor:
    limit = float(np.finfo(np.float16).max)
    return logits.clamp(-limit, limit).half()


@dataclass(frozen=True)
class TileLog:
    """A file with the tiles of one set in order. Truncated or damaged tiles are computed again."""

    path: Path

    def tiles(self, pairs: FactoredPairs) -> Iterator[tuple[Place, Half]]:
        """Yield all tiles: first those that the file holds, then the remaining ones, which are appended to the file.

        With several processes, only the first keeps a file and yields tiles.
        """
        if not is_first():
            yield from half_tiles(pairs, first_says(0))
            return
        stored = 0
        with self.path.open("ab+") as file:
            file.seek(0)
            for place in places(len(pairs)):
                offset = file.tell()
                half = _read(file.read(_size(place) + CHECK_BYTES), place)
                if half is None:
                    file.truncate(offset)
                    break
                stored += 1
                yield place, half
            for place, half in half_tiles(pairs, first_says(stored)):
                data = half.tobytes()
                file.write(data + zlib.crc32(data).to_bytes(CHECK_BYTES, "big"))
                yield place, half


def _shape(place: Place) -> tuple[int, int]:
    rows, columns = place
    return rows.stop - rows.start, columns.stop - columns.start


def _size(place: Place) -> int:
    rows, columns = _shape(place)
    return 2 * rows * columns


def _read(record: bytes, place: Place) -> Half | None:
    data, checksum = record[: _size(place)], record[_size(place) :]
    if len(checksum) < CHECK_BYTES or zlib.crc32(data).to_bytes(CHECK_BYTES, "big") != checksum:
        return None
    return np.frombuffer(data, np.float16).reshape(_shape(place))
