"""Random samples of image sets, as folders of links to the images."""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from clusterkit.config import Context
from clusterkit.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from clusterkit.datasets.base import Dataset, Subset

Read = Callable[[str], "Dataset"]
"""A function that returns the data set of a name."""


@dataclass(frozen=True)
class Sample:
    """A folder of images and, by image in the order of the folder, its class; `labels` is the file of the classes."""

    folder: Path
    classes: tuple[str, ...]
    labels: Path

    @property
    def name(self) -> str:
        """Return the name of the data set."""
        return f"folder:{self.folder}"

    @property
    def k(self) -> int:
        """Return the number of classes."""
        return len(set(self.classes))

    def by_class(self, place: Path) -> str:
        """Link the images into a folder `place` with a subfolder per class; return the name of this data set."""
        shutil.rmtree(place, ignore_errors=True)
        for file, name in zip(sorted(self.folder.iterdir()), self.classes, strict=True):
            (place / name).mkdir(parents=True, exist_ok=True)
            (place / name / file.name).symlink_to(file.resolve())
        return f"folder:{place}"

    def labelled(self, context: Context) -> Context:
        """Return the context in which a stage reads the labels."""
        return replace(context, reading=replace(context.reading, labels=self.labels))


def linked(name: str, images: int, most: int, place: Path, context: Context, read: Read) -> Sample:
    """Link random images of a set, in random order, into a folder `place` without subfolders; return the sample.

    Each class gives up to `images` images, and all classes together up to `most`. The labels are written to a file
    beside the folder, so that only a stage that is given this file knows them. Images that are in no file of their own
    are written as PNG files.

    Raises InputError for a set without labels.
    """
    import torch

    from clusterkit.artifacts.files import write_text
    from clusterkit.datasets.catalogue import chosen_classes, parse

    parsed = parse(name)
    data = read(replace(parsed, classes=None).full)
    subset = data.labelled().union()
    if subset.labels is None:
        raise InputError(f"{name}: has no labels to score clusters by; put every class into its own subfolder")
    present = subset.labels.unique().tolist()
    if parsed.classes is not None:
        present = [label for label in chosen_classes(parsed.classes, len(data.classes), name) if label in present]
    count = min(images, most // len(present))
    # The images of a class do not depend on the other classes, so that samples of a set share their features.
    chosen = torch.cat(
        [shuffled((subset.labels == label).nonzero()[:, 0], data.classes[label], context)[:count] for label in present]
    )
    chosen = shuffled(chosen, name, context)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    files = [link(subset, position, f"{number:05d}", place) for number, position in enumerate(chosen.tolist())]
    classes = tuple(data.classes[label] for label in subset.labels[chosen].tolist())
    labels = place.with_name(f"{place.name}.csv")
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("name", "label"), *zip(files, classes, strict=True)])
    write_text(labels, table.getvalue())
    return Sample(place, classes, labels)


def reader(context: Context) -> Read:
    """Return a function that reads a set, which stays in memory for the next sample of it."""
    from clusterkit.datasets.catalogue import load_dataset

    return lru_cache(maxsize=1)(lambda name: load_dataset(name, context.data, offline=context.offline))


def shuffled(positions: "Tensor", name: str, context: Context) -> "Tensor":
    """Return positions in a random order, which depends on the seed and a name."""
    import torch

    from clusterkit.device import derive_seed

    generator = torch.Generator().manual_seed(derive_seed(context.seed, "sample", name))
    return positions[torch.randperm(len(positions), generator=generator)]


def link(subset: "Subset", position: int, stem: str, place: Path) -> str:
    """Link or write the image at a position into a folder; return its name there."""
    if subset.files is not None:
        file = subset.files[position].resolve()
        path = place / f"{stem}{file.suffix}"
        path.symlink_to(file)
        return path.name
    import torch
    from PIL import Image

    pixels = next(subset.batches([torch.tensor([position])]))[0].permute(1, 2, 0).squeeze(2).numpy()
    Image.fromarray(pixels).save(place / f"{stem}.png")
    return f"{stem}.png"
