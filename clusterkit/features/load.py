"""Data sets in the form that a network reads: images, or the features that fixed backbones make of them.

The functions are those of the same names in `datasets.catalogue`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clusterkit.config import Context
from clusterkit.datasets import catalogue
from clusterkit.datasets.base import Dataset
from clusterkit.distributed import first_alone
from clusterkit.features.embed import embedded
from clusterkit.features.models import recorded_models
from clusterkit.reading import Reading


def load_dataset(
    text: str, context: Context, *, size: int | None = None, channels: int | None = None, whole: bool = False
) -> Dataset:
    """Read a data set by name, as `datasets.catalogue` does. Several processes read it one after the other."""
    with first_alone():
        return catalogue.load_dataset(
            text,
            context.data,
            offline=context.offline,
            reading=context.reading,
            size=size,
            channels=channels,
            whole=whole,
        )


def load_recorded(
    fields: Mapping[str, Any], context: Context, made: Path | None = None, *, labels: Path | None = None
) -> Dataset:
    """Read a data set as the header of the file `made` records it, with its features if it had any.

    Raises InputError for a set or a backbone that is absent or damaged.
    """
    with first_alone():
        data = catalogue.load_recorded(fields, context, made, labels=labels)
    return with_features(data, fields, context)


def load_like(
    text: str, shape: Sequence[int], context: Context, trained: Mapping[str, Any] | None = None, *,
    reading: Reading | None = None, files: Sequence[Path] = (), beside: str | None = None,
) -> Dataset:  # fmt: skip
    """Read a data set with its items in the shape that a network reads, which was trained on the set `trained`.

    For a network of features the images pass through the same backbones. `reading` is that of the context unless it is
    given, and `beside` the title of the set that gives the shape if no network does. Raises InputError if the items
    cannot have this shape.
    """
    reading = context.reading if reading is None else reading
    if trained is None or not trained.get("features"):
        with first_alone():
            return catalogue.load_like(
                text,
                shape,
                context.data,
                offline=context.offline,
                reading=reading,
                trained=trained,
                files=files,
                beside=beside,
            )
    with first_alone():
        data = catalogue.load_dataset(
            text, context.data, offline=context.offline, reading=reading, files=files, whole=True
        )
    data = with_features(data, trained, context)
    data.check_shape(shape, beside)
    return data


def with_features(data: Dataset, recorded: Mapping[str, Any], context: Context) -> Dataset:
    """Return a set as it is, or with the features of the backbones in the header entry of another set."""
    entries = recorded.get("features")
    return embedded(data, recorded_models(entries, context), context) if entries else data
