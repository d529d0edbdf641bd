"""Tiles kept on disk as they are made, so that an interrupted prediction of a large set can go on."""

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
"""After each tile, the CRC-32 of its bytes."""


def half_tiles(pairs: FactoredPairs, skip: int = 0) -> Iterator[tuple[Place, Half]]:
    """Yield the logits of the tiles on and above the diagonal as they are stored; the first `skip` are left out.

    Several processes take turns with the tiles; the first one is sent all and yields them, the others yield none.
    """
    limit = float(np.finfo(np.float16).max)
    wanted = list(places(len(pairs)))[skip:]
    own = tiles(pairs, wanted[rank() :: size()])
    for number, place in enumerate(wanted):
        owner = number % size()
        half = next(own)[1].clamp(-limit, limit).half() if owner == rank() else torch.empty(_shape(place)).half()
        hand_to_first(half, owner)
        if is_first():
            yield place, half.numpy()


@dataclass(frozen=True)
class TileLog:
    """A file of the tiles of one set in their order. What was cut short or damaged in it is made again."""

    path: Path

    def tiles(self, pairs: FactoredPairs) -> Iterator[tuple[Place, Half]]:
        """Yield all tiles, those that the file holds from there; append the others to it.

        Of several processes only the first keeps a file and yields tiles.
        """
        if not is_first():
            yield from half_tiles(pairs, first_says(0))
            return
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
            for place, half in half_tiles(pairs, first_says(done)):
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
