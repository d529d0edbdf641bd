"""The zero-shot sets of Xian et al. (2017): features by a ResNet-101, with classes to learn from and to discover.

Each set is a folder of two MATLAB files. In `res101.mat`, `features` (D, N) and `labels` (N, 1) are those of N photos;
in `att_splits.mat`, the positions of photos make three parts, and `allclasses_names`, which not every set has, names
the classes. Labels and positions count from 1.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import damaged_data
from clusterkit.datasets.tables import check_finite
from clusterkit.errors import is_out_of_memory

PARTS = {"seen": "trainval_loc", "seen-test": "test_seen_loc", "unseen": "test_unseen_loc"}
"""The array of positions of each subset."""
NAMES = "allclasses_names"

Positions = NDArray[np.int64]


def files(root: Path, name: str) -> list[Path]:
    folder = root / "xlsa17" / "data" / name
    return [folder / "res101.mat", folder / "att_splits.mat"]


def load(request: Request, name: str) -> Raw:
    """Read the photos of all subsets, in the order of the file; the values stay as they are.

    Raises InputError for files that are damaged or do not fit each other, and for a photo or a class in two parts.
    """
    path, splits_path = files(request.root, name)
    content = read(path, "features", "labels")
    features, count = content["features"], content["labels"].size
    if features.ndim != 2 or features.dtype.kind not in "iuf" or features.shape[1] != count or not count:
        raise damaged_data(path, f"features is {features.dtype} {features.shape}, with {count} labels")
    # The network that made them computes in float32.
    vectors = np.ascontiguousarray(features.T, np.float32)
    check_finite(vectors, "features", path, lambda place: f"item {place[0]}")
    splits = read(splits_path, *PARTS.values())
    labels = numbered(content["labels"], "labels", path, None)
    classes = named(splits[NAMES], splits_path) if NAMES in splits else [str(n + 1) for n in range(labels.max() + 1)]
    if labels.max() >= len(classes):
        raise damaged_data(path, f"labels up to {labels.max() + 1}, but {len(classes)} classes")
    parts = [numbered(splits[key], key, splits_path, count) for key in PARTS.values()]
    check_apart(parts, labels, splits_path)
    subset = np.full(count, -1)
    for number, part in enumerate(parts):
        subset[part] = number
    ids = np.flatnonzero(subset >= 0)
    return Raw(
        torch.from_numpy(vectors[ids]),
        torch.from_numpy(labels[ids]),
        tuple(classes),
        torch.from_numpy(subset[ids]),
        tuple(PARTS),
        torch.from_numpy(ids),
    )


def read(path: Path, *names: str) -> dict[str, Any]:
    """Return the named arrays of a MATLAB file, and the names of the classes if it has any.

    Raises InputError for a damaged file, and for one without these arrays.
    """
    from scipy.io import loadmat

    try:
        content: dict[str, Any] = loadmat(path, variable_names=[*names, NAMES])
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # SciPy refuses damaged files in many ways.
        raise damaged_data(path, error) from error
    missing = [name for name in names if not isinstance(content.get(name), np.ndarray)]
    if missing:
        raise damaged_data(path, f"it has no array {missing[0]}")
    return content


def numbered(values: NDArray[Any], name: str, path: Path, most: int | None) -> Positions:
    """Return whole numbers (N, 1) or (1, N), from 1 to `most`, as positions (N,) from 0."""
    if values.dtype.kind not in "iuf" or max(values.shape, default=0) != values.size:
        raise damaged_data(path, f"{name} is {values.dtype} {values.shape}, not numbers of shape (N, 1)")
    flat = values.ravel()
    wrong = (flat != np.floor(flat)) | ~(flat >= 1) | (flat > (np.inf if most is None else most))
    if wrong.any():
        limits = "from 1" if most is None else f"from 1 to {most}"
        raise damaged_data(path, f"{name} has {flat[wrong][0]:g}, which is no whole number {limits}")
    return flat.astype(np.int64) - 1


def named(cells: NDArray[Any], path: Path) -> list[str]:
    """Return the names of the classes in an array of texts (C, 1)."""
    texts = [np.ravel(cell) for cell in np.ravel(cells)]
    names = [str(text[0]).strip() for text in texts if text.dtype.kind == "U" and text.size == 1]
    if len(names) != len(texts) or len(set(names)) != len(names):
        raise damaged_data(path, f"{NAMES} is no list of different names")
    return names


def check_apart(parts: list[Positions], labels: Positions, path: Path) -> None:
    """Raise InputError if a photo is in two parts or twice in one, or if an unseen class is seen."""
    names = list(PARTS.values())
    for number, part in enumerate(parts):
        if len(np.unique(part)) != len(part):
            raise damaged_data(path, f"{names[number]} has a number twice")
        for other in range(number):
            if shared := len(np.intersect1d(part, parts[other])):
                raise damaged_data(path, f"{shared} photos are in both {names[other]} and {names[number]}")
    seen, unseen = labels[np.concatenate(parts[:2])], labels[parts[2]]
    if shared := len(np.intersect1d(seen, unseen)):
        raise damaged_data(path, f"{shared} classes of {names[2]} are also seen")


SOURCES = {
    f"xlsa:{name}": Source(
        partial(load, name=name),
        Kind.VECTORS,
        f"features of {count} photos of {classes}, in parts of seen and unseen classes",
        channels=None,
        files=partial(files, name=name),
        subsets=tuple(PARTS),
        target=f"xlsa:{name}/unseen",
    )
    for name, count, classes in (
        ("CUB", "11,788", "200 birds"),
        ("SUN", "14,340", "717 scenes"),
        ("AWA2", "37,322", "50 animals"),
        ("FLO", "8,189", "102 flowers"),
    )
}
