"""Data sets, as every other part of the program uses them."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.stream import Stream
from clusterkit.device import send
from clusterkit.errors import InputError
from clusterkit.reading import USUAL, Reading


@dataclass(frozen=True)
class Raw:
    """The content of a source, before subsets and classes are selected.

    `images` is uint8 (N, C, H, W), float32 or float64 (N, D) for vectors, or a `Stream` of image files. `labels` is
    int64 (N,), positions in `classes`, -1 for an unlabelled item; None if no item is labelled. `subset` is int64 (N,),
    positions in `subsets`. `ids` is int64 (N,) if the source read only a part of the set; None numbers the images from
    0. `names` are the items' own names, such as paths relative to the folder of the set, and `files` the image files.
    `listed` are the names of all files, also unreadable ones, if they were named one by one.
    `kind` is set if only the content shows it. `inverted` says whether dark ink on light was inverted, and is None if
    the source does not decide that by the pixels. `bright_ink` says whether the grey images clearly have bright ink on
    dark now.
    """

    images: Tensor | Stream
    labels: Tensor | None
    classes: tuple[str, ...]
    subset: Tensor | None = None
    subsets: tuple[str, ...] = ("all",)
    ids: Tensor | None = None
    fingerprint: str | None = None
    names: tuple[str, ...] | None = None
    files: tuple[Path, ...] | None = None
    listed: tuple[str, ...] = ()
    kind: Kind | None = None
    inverted: bool | None = None
    bright_ink: bool = False


@dataclass(frozen=True)
class Request:
    """A request to a source: the root of the data sets and the form of the images.

    `argument` is the text after the colon in `folder:PATH`. `subset` names the only subset to read; None reads all.
    `files` are the paths of the only files to read; without any, all are read.
    `channels` None keeps the channels of the source. `inverted` None lets the source decide by the pixels whether to
    invert grey images. `unclear` is set for images that a network reads which was trained on bright ink on dark: it
    says whether to invert them if their own pixels do not clearly decide it. With `whole`, the pictures are read
    again at their own sizes later, and images in arrays keep the length of their shorter side.
    """

    root: Path
    size: int
    channels: int | None = None
    argument: str = ""
    subset: str | None = None
    reading: Reading = USUAL
    inverted: bool | None = None
    unclear: bool | None = None
    files: tuple[Path, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Source:
    """One entry of the catalogue.

    `channels` is the number of channels of its images; None if only the content shows it, or for vectors.
    `files(root)` names the paths that must exist for the set to be present (none for embedded sets), `layout` the files
    expected in those that are folders, and `fetch(root)` downloads them. `subsets` are the names known before reading.
    `target` is the unlabelled set that later commands use if none is named. `classes(subset)` names the classes of a
    subset, or of all for None; only sources that share classes, and so images, with other sources have it.
    """

    load: Callable[[Request], Raw]
    kind: Kind
    about: str
    size: int = 32
    channels: int | None = 1
    files: Callable[[Path], Sequence[Path]] = lambda root: ()
    layout: str = ""
    fetch: Callable[[Path], None] | None = None
    subsets: tuple[str, ...] = ()
    target: str | None = None
    classes: Callable[[str | None], Sequence[str]] | None = None


Value = TypeVar("Value")


def in_files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def chosen(values: tuple[Value, ...] | None, positions: Tensor) -> tuple[Value, ...] | None:
    """Return the values at positions (M,); None if there are no values."""
    return None if values is None else tuple(values[i] for i in positions.tolist())


def narrowed(items: Tensor, device: torch.device | str) -> Tensor:
    """Return items in a type that the device has: MPS has no float64."""
    if items.dtype != torch.float64 or torch.device(device).type != "mps":
        return items
    console.once("MPS computes in float32, so digits after the seventh are lost; use --device cpu to keep them")
    return items.float()


@dataclass(frozen=True)
class Subset:
    """One clustering problem: N images of one subset, in the data set's fixed order.

    `ids` (N,) int64 are positions in the whole data set, whatever part of it was selected. `labels` (N,) int64 are
    positions in the data set's classes, -1 for an unlabelled item; None if no item is labelled. `names` (N,) are the
    items' own names, and `files` (N,) their image files; None if they have none.
    """

    name: str
    images: Tensor | Stream
    ids: Tensor
    labels: Tensor | None
    names: tuple[str, ...] | None = None
    files: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of an image, or (D,) of a vector."""
        return tuple(next(self.batches([torch.zeros(1, dtype=torch.int64)])).shape[1:])

    def batches(self, indices: Iterable[Tensor], device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """Yield the images at each tensor of positions: uint8 (B, C, H, W), or floats (B, D) for vectors."""
        if isinstance(self.images, Tensor):
            for index in indices:
                yield narrowed(self.images[send(index, self.images.device)], device).to(device)
        else:
            for batch in self.images.batches(indices):
                yield batch.to(device, non_blocking=True)

    def blocks(self, device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """Yield all images in order, in blocks of about a million pixels, whose activations fit in memory."""
        size = max(1, min(1000, 2**20 // math.prod(self.shape[1:])))
        return self.batches(torch.arange(len(self)).split(size), device)

    def take(self, positions: Tensor) -> "Subset":
        """Return the items at these positions (M,), in the order of the positions."""
        images = self.images[positions] if isinstance(self.images, Tensor) else self.images.take(positions)
        labels = None if self.labels is None else self.labels[positions]
        return Subset(
            self.name,
            images,
            self.ids[positions],
            labels,
            chosen(self.names, positions),
            chosen(self.files, positions),
        )

    def to(self, device: torch.device | str) -> "Subset":
        """Return the subset with its images on the device; a `Stream` stays as it is."""
        if not isinstance(self.images, Tensor):
            return self
        return replace(self, images=narrowed(self.images, device).to(device))

    def title(self, position: int) -> str:
        """Return the name of the item at a position, as messages and tables show it: its own name, else its id."""
        return str(int(self.ids[position])) if self.names is None else console.printable(self.names[position])


@dataclass(frozen=True)
class Dataset:
    """A named data set and its subsets; a set without subsets has one, called "all".

    `listed` are its files, if they were named one by one, by their paths from the folder. `features` are the header
    entries of the fixed backbones that made its vectors from images; none for a set of images or of other vectors.
    """

    name: str
    kind: Kind
    subsets: tuple[Subset, ...]
    classes: tuple[str, ...]
    fingerprint: str
    size: int
    target: str | None = None
    reading: Reading = USUAL
    inverted: bool | None = None
    bright_ink: bool = False
    listed: tuple[str, ...] = ()
    features: tuple[dict[str, Any], ...] = ()

    def __len__(self) -> int:
        return sum(len(subset) for subset in self.subsets)

    @property
    def title(self) -> str:
        """Return what messages call the set."""
        return f"the set of {in_files(len(self.listed))}" if self.listed else f"data set {self.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of an image, or (D,) of a vector."""
        return self.subsets[0].shape

    def check_shape(self, shape: Sequence[int], beside: str | None = None) -> None:
        """Raise InputError if items have another shape than a network reads, or than those of the set `beside` have."""
        if self.shape != tuple(shape):
            items = "features" if self.features else "items"
            reader, advice = (f"{beside} has", "") if beside else ("the network reads", " or another network")
            raise InputError(
                f"{self.title} has {items} of shape {self.shape}, but {reader} {tuple(shape)}; name another set{advice}"
            )

    def to_header(self) -> dict[str, Any]:
        """Return the set as headers record it: enough to read it again in the same form and to compare its content."""
        shape = self.shape
        channels = shape[0] if len(shape) == 3 else None
        fields: dict[str, Any] = {
            "name": self.name, "fingerprint": self.fingerprint, "size": self.size, "channels": channels,
        }  # fmt: skip
        if self.inverted is not None:
            fields |= {"inverted": self.inverted, "bright_ink": self.bright_ink}
        if self.listed:
            fields["files"] = list(self.listed)
        if self.features:
            fields["features"] = list(self.features)
        return {**fields, "reading": self.reading.to_header()} if self.reading != USUAL else fields

    def to_learned(self) -> dict[str, Any]:
        """Return `to_header` with the sha256 of the labels, for a set whose labels a network learned."""
        labelled = self.labelled()
        digest = hashlib.sha256(repr((labelled.classes, [subset.name for subset in labelled.subsets])).encode())
        for subset in labelled.subsets:
            for values in (subset.ids, subset.labels):
                digest.update(b"" if values is None else values.contiguous().numpy().data)
        return {**self.to_header(), "labels": digest.hexdigest()}

    @property
    def labels(self) -> Tensor | None:
        """Return all labels (N,) in the order of the subsets, -1 for unlabelled items; None without labels."""
        parts = [subset.labels for subset in self.subsets]
        labelled_parts = [part for part in parts if part is not None]
        return torch.cat(labelled_parts) if len(labelled_parts) == len(parts) else None

    def labelled(self) -> "Dataset":
        """Return only the labelled items; a set without labels is returned unchanged."""
        if self.labels is None or bool((self.labels >= 0).all()):
            return self
        parts = [part.take((part.labels >= 0).nonzero()[:, 0]) for part in self.subsets if part.labels is not None]
        return replace(self, subsets=tuple(part for part in parts if len(part)))

    def labels_for(self, stage: str) -> Tensor:
        """Return all labels (N,) for a stage that learns them; call it on the result of `labelled`.

        Raises InputError for a set without labels or with only one class.
        """
        labels = self.labels
        if labels is None:
            remedy = "leave out --flat" if self.reading.flat else "name a labelled set"
            raise InputError(f"data set {self.name} has no labels; {stage} learns from labels, so {remedy}")
        assert (labels >= 0).all()
        if len(labels.unique()) < 2:
            raise InputError(
                f"data set {self.name} has one class only; {stage} needs at least two, so name another set"
            )
        return labels

    def numbered(self, stage: str) -> tuple[Tensor, tuple[str, ...]]:
        """Return the labels (N,) as positions among the classes that occur, and the names of these classes."""
        labels = self.labels_for(stage)
        return torch.searchsorted(labels.unique(), labels), self.present_classes()

    def present_classes(self) -> tuple[str, ...]:
        """Return the names of the classes that occur, in the order of the classes; none without labels."""
        labels = self.labels
        return () if labels is None else tuple(self.classes[int(c)] for c in labels.unique() if c >= 0)

    def union(self) -> Subset:
        """Return all subsets joined into one."""
        if len(self.subsets) == 1:
            return self.subsets[0]
        ids = torch.cat([subset.ids for subset in self.subsets])
        parts = [subset.images for subset in self.subsets]
        tensors = [part for part in parts if isinstance(part, Tensor)]
        streams = [part for part in parts if isinstance(part, Stream)]
        images = Stream.joined(streams) if streams else torch.cat(tensors)
        return Subset("all", images, ids, self.labels, self.joined_names)

    @property
    def joined_names(self) -> tuple[str, ...] | None:
        """Return the names of all items in the order of the subsets; None unless all have names."""
        parts = [subset.names for subset in self.subsets]
        return None if None in parts else tuple(name for part in parts if part is not None for name in part)
