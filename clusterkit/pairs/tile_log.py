"""Tiles kept on disk as they are made, so that an interrupted prediction of a large set can go on."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tiles import Place, places, tiles

Half = NDArray[np.float16]
CHECK_BYTES = 4
"""After each tile, the CRC-32 of its bytes."""


def half_tiles(pairs: FactoredPairs, skip: int = 0) -> Iterator[tuple[Place, Half]]:
    """Yield the logits of the tiles on and above the diagonal as they are stored; the first `skip` are left out."""
    limit = float(np.finfo(np.float16).max)
    for place, logits in tiles(pairs, skip):
        yield place, logits.clamp(-limit, limit).half().numpy()


@dataclass(frozen=True)
class TileLog:
    """A file of the tiles of one set in their order. What was cut short or damaged in it is made again."""

    path: Path

    def tiles(self, pairs: FactoredPairs) -> Iterator[tuple[Place, Half]]:
        """Yield all tiles, those that the file holds from there; append the others to it."""
        done = 0
        with self.path.open("ab+") as file:
            file.seek(0)
            for place in places(len(pairs)):
                at = file.tell()
                half = _read(file.read(_size(place) + CHECK_BYTES), place)
                if half is None:
                    file.truncate(at)
                    break
                done += 1
                yield place, half
            for place, half in half_tiles(pairs, done):
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
    data, check = record[: _size(place)], record[_size(place) :]
    if len(check) < CHECK_BYTES or zlib.crc32(data).to_bytes(CHECK_BYTES, "big") != check:
        return None
    return np.frombuffer(data, np.float16).reshape(_shape(place))
