"""The images of several sets as those of one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from clusterkit.datasets.stream import Stream

Images = Tensor | Stream


@dataclass(frozen=True)
class Joined:
    """N images of several sets of one form, of which some are read while they are used.

    `parts` are the images of the sets, and `positions` int64 (N,) count through all of them.
    """

    parts: tuple[Images, ...]
    positions: Tensor

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, positions: Tensor) -> "Joined":
        """Return the images at these positions, in the order of the positions."""
        return Joined(self.parts, self.positions[positions])

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images at each tensor of positions as uint8 (B, C, H, W)."""
        starts = torch.tensor([len(part) for part in self.parts]).cumsum(0)
        chosen = [self.positions[index] for index in indices]
        owners = [torch.searchsorted(starts, index, right=True) for index in chosen]
        readers = []
        for number, part in enumerate(self.parts):
            first = int(starts[number]) - len(part)
            own = [index[owner == number] - first for index, owner in zip(chosen, owners, strict=True)]
            readers.append(_batches(part, [index for index in own if len(index)]))
        for owner in owners:
            present = owner.unique().tolist()
            blocks = {number: next(readers[number]) for number in present}
            batch = torch.empty(len(owner), *blocks[present[0]].shape[1:], dtype=torch.uint8)
            for number, block in blocks.items():
                batch[owner == number] = block
            yield batch


def _batches(images: Images, indices: Sequence[Tensor]) -> Iterator[Tensor]:
    return (images[index] for index in indices) if isinstance(images, Tensor) else images.batches(indices)


def joined(parts: Sequence[Images]) -> Images:
    """Return the images of several sets of one form, in the order of the sets."""
    if len(parts) == 1:
        return parts[0]
    whole = [part for part in parts if isinstance(part, Tensor)]
    if len(whole) == len(parts):
        return torch.cat(whole)
    # A training uses no more of a stream than this has.
    return cast(Stream, Joined(tuple(parts), torch.arange(sum(map(len, parts)))))
