"""`features.h5`: the features of each item by fixed backbones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.hdf5 import read_hdf5, write_hdf5
from clusterkit.artifacts.header import Header, damaged
from clusterkit.errors import InputError


@dataclass(frozen=True)
class FeatureSet:
    """The features of one subset: `id` (N,) int64 and `x` (N, D) float32.

    `name_digest` (N,) uint64 are digests of the items' names, None for items without names.
    """

    id: NDArray[np.int64]
    x: NDArray[np.float32]
    name_digest: NDArray[np.uint64] | None = None


def write_features(path: Path, header: Header, subsets: Mapping[str, FeatureSet]) -> None:
    """Write the features of all subsets. Raises InputError if the file cannot be written."""
    groups = {
        title: {name: values for name, values in vars(subset).items() if values is not None}
        for title, subset in subsets.items()
    }
    write_hdf5(path, header, groups)


def read_features(path: Path) -> tuple[Header, dict[str, FeatureSet]]:
    """Read features. Raises InputError for a file that is missing, foreign or damaged, or has values that are NaN."""
    header, groups = read_hdf5(path, "features")
    try:
        subsets = {
            title: FeatureSet(group["id"], group["x"], group.get("name_digest"))  # type: ignore[arg-type]
            for title, group in groups.items()
        }
        is_whole = all(len(subset.x) == len(subset.id) for subset in subsets.values())
        widths = {subset.x.shape[1:] for subset in subsets.values()}
    except (KeyError, TypeError) as error:
        raise damaged(path, "features") from error
    if not is_whole or len(widths) != 1 or len(next(iter(widths))) != 1 or not header.dataset.get("features"):
        raise damaged(path, "features")
    for title, subset in subsets.items():
        if not np.isfinite(subset.x).all():
            raise InputError(
                f"{path}: some features of {title} are no finite numbers; make it again with another backbone"
            )
    return header, subsets
