"""The labelled source that a Python program gives a joint training."""

from typing import Any

import numpy as np
import torch

from clusterkit.datasets.base import Dataset
from clusterkit.errors import UsageError
from clusterkit.methods.common.problem import Labelled
from clusterkit.networks.start import Start
from clusterkit.python.inputs import plain_array, read_items


def read_source(source: Any, data: Dataset, start: Start, method: str) -> Labelled:
    """Return the items and labels of `source`, a pair (x, labels) of N items of the form of `data`.

    Raises UsageError for a source that is missing, of another form, or with labels that do not fit; TypeError for
    anything but a pair.
    """
    if source is None:
        raise UsageError(f"--source: --method {method} also learns a labelled set; give the pair (x, labels)")
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise TypeError(f"--source must be a pair (x, labels), not {type(source).__name__}")
    items, labels = read_items(source[0], start), plain_array(source[1], "--source")
    [subset] = items.subsets
    if items.shape != data.shape:
        raise UsageError(
            f"--source: holds items of shape {items.shape}, but x of {data.shape}; give items of that shape"
        )
    if labels.shape != (len(subset),):
        raise UsageError(
            f"--source: labels have shape {labels.shape}, and it has {len(subset)} items; give one label for each"
        )
    classes, positions = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise UsageError("--source: has one class only; give items of at least two classes")
    names = tuple(map(str, classes.tolist()))
    return Labelled(subset=subset, kind=items.kind, labels=torch.from_numpy(positions).long(), classes=names)
