"""A picture of clusters: one row of images a cluster."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import atomic
from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset

ROWS, COLUMNS, SUBSETS = 20, 16, 4
GAP = 2


def write_montage(context: Context, assignments: Path, output: Path) -> Path:
    """Draw the largest clusters of the first subsets, the surest images of each first, and write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    header, found = read_assignments(assignments)
    form = header.dataset
    data = load_dataset(
        form["name"], context.data, offline=context.offline, size=form["size"], channels=form["channels"]
    )
    shown = [subset for subset in data.subsets if subset.name in found][:SUBSETS]
    figure, axes = plt.subplots(1, len(shown), figsize=(5 * len(shown), 6.6), squeeze=False)
    for axis, subset in zip(axes[0], shown, strict=True):
        axis.imshow(montage(subset, found[subset.name]), cmap="gray", interpolation="nearest")
        axis.set_title(f"{subset.name}: one cluster a row")
        axis.axis("off")
    figure.tight_layout()
    with atomic(output) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
    plt.close(figure)
    return output


def montage(subset: Subset, assignment: Assignment) -> NDArray[np.uint8]:
    """Return one image (H', W', C) or (H', W') of the largest clusters of a subset of images, a row each."""
    sizes = np.bincount(assignment.cluster[assignment.cluster >= 0])
    largest = [c for c in np.argsort(-sizes, kind="stable")[:ROWS] if sizes[c]]
    rows = []
    for cluster in largest:
        members = np.flatnonzero(assignment.cluster == cluster)
        surest = members[np.argsort(-assignment.prob[members, cluster], kind="stable")][:COLUMNS]
        images = next(subset.batches([torch.from_numpy(surest)])).permute(0, 2, 3, 1).numpy()
        row = np.pad(images, ((0, COLUMNS - len(images)), (0, GAP), (0, GAP), (0, 0)))
        rows.append(np.concatenate(list(row), axis=1))
    return np.concatenate(rows).squeeze()
