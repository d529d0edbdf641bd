"""A picture of clusters: one row of images per cluster."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment
from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.report.panels import write_panels

ROWS, COLUMNS, SUBSETS = 20, 16, 4
GAP = 2


def write_montage(context: Context, assignments: Path, output: Path) -> Path:
    """Write a PNG of the largest clusters of the first subsets, with the most probable images of each first."""
    return write_panels(
        context, assignments, output, montage, "one cluster per row", 6.6, lambda names: names[:SUBSETS]
    )


def montage(subset: Subset, assignment: Assignment) -> NDArray[np.uint8]:
    """Return one image (H', W', C) or (H', W') of the largest clusters of a subset, with a row per cluster."""
    sizes = np.bincount(assignment.cluster[assignment.cluster >= 0])
    largest = [cluster for cluster in np.argsort(-sizes, kind="stable")[:ROWS] if sizes[cluster]]
    rows = []
    for cluster in largest:
        members = np.flatnonzero(assignment.cluster == cluster)
        most_probable = members[np.argsort(-assignment.prob[members, cluster], kind="stable")][:COLUMNS]
        images = next(subset.batches([torch.from_numpy(most_probable)])).permute(0, 2, 3, 1).numpy()
        row = np.pad(images, ((0, COLUMNS - len(images)), (0, GAP), (0, GAP), (0, 0)))
        rows.append(np.concatenate(list(row), axis=1))
    return np.concatenate(rows).squeeze()
