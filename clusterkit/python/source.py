"""The labelled source that a Python program gives a joint training."""

from typing import Any

from clusterkit.datasets.base import Dataset
from clusterkit.datasets.labels import of_values
from clusterkit.errors import InputError, UsageError
from clusterkit.methods.common.joint_start import classifier_of
from clusterkit.methods.common.problem import Labelled
from clusterkit.networks.start import Start
from clusterkit.python.inputs import ARRAYS, plain_array, read_items


def read_source(source: Any, data: Dataset, start: Start, method: str) -> Labelled:
    """Return the labelled items of `source`, a pair (x, labels) of N items of the form of `data`.

    The label -1 means unlabelled.

    Raises UsageError for a source that is missing, of another form, or with labels that do not fit; TypeError for
    anything but a pair.
    """
    if source is None:
        raise UsageError(f"--source: --method {method} also learns a labelled set; give the pair (x, labels)")
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise TypeError(f"--source must be a pair (x, labels), not {type(source).__name__}")
    items, values = read_items(source[0], start), plain_array(source[1], "--source")
    [subset] = items.subsets
    if items.shape != data.shape:
        raise UsageError(
            f"--source: holds items of shape {items.shape}, but x of {data.shape}; give items of that shape"
        )
    if values.shape != (len(subset),):
        raise UsageError(
            f"--source: labels have shape {values.shape}, and it has {len(subset)} items; give one label for each"
        )
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        values = values.astype(str)
    try:
        labels, classes = of_values(values, len(subset), ARRAYS)
    except InputError as error:
        raise UsageError(str(error).replace(str(ARRAYS), "--source (x, y)", 1)) from error
    if labels is None or len(classes) < 2:
        count = "no labels" if labels is None else "one class only"
        raise UsageError(f"--source: has {count}; give items of at least two classes")
    known = (labels >= 0).nonzero()[:, 0]
    return Labelled(
        subset=subset.take(known), kind=items.kind, labels=labels[known], classes=classes,
        head=classifier_of(start, classes),
    )  # fmt: skip
