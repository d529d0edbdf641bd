"""A picture of the pairs of classes that a clustering confuses."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.metrics.clustering import contingency
from clusterkit.report.panels import write_panels

PAIRS, COLUMNS = 4, 12
GAP = 2


def write_confusions(context: Context, assignments: Path, subsets: list[str], output: Path) -> Path:
    """Write a PNG of the most confused pairs of classes of labelled subsets, with a row of images per class."""
    return write_panels(
        context, assignments, output, lambda subset, assignment: confusions(subset, assignment.cluster),
        "pairs of confused classes", 4.4, lambda names: subsets,
    )  # fmt: skip


def confusions(subset: Subset, clusters: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return one image (H', W') or (H', W', C) of the most confused pairs of classes.

    Each pair has two rows of images, and a gap below them.
    """
    assert subset.labels is not None
    labels = subset.labels.numpy()
    rows, is_labelled = [], labels >= 0
    for pair in most_confused(clusters[is_labelled], labels[is_labelled]):
        for label in pair:
            members = torch.from_numpy(np.flatnonzero(labels == label)[:COLUMNS])
            images = next(subset.batches([members])).permute(0, 2, 3, 1).numpy()
            row = np.pad(images, ((0, COLUMNS - len(images)), (0, 0), (0, GAP), (0, 0)))
            rows.append(np.concatenate(list(row), axis=1))
        rows[-1] = np.pad(rows[-1], ((0, 6 * GAP), (0, 0), (0, 0)))
    if not rows:
        return np.zeros((GAP, GAP), np.uint8)
    return np.concatenate(rows).squeeze(axis=2) if rows[0].shape[2] == 1 else np.concatenate(rows)


def most_confused(clusters: NDArray[np.integer], labels: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Return at most PAIRS pairs of classes that share clusters, the most confused first.

    A cluster with a items of one class and b items of another adds min(a, b) to the confusion of the pair.
    """
    table = contingency(clusters, labels)
    shared = np.minimum(table[:, :, None], table[:, None, :]).sum(0)
    names = np.unique(labels)
    first, second = np.triu_indices(len(names), 1)
    order = np.argsort(-shared[first, second], kind="stable")[:PAIRS]
    return [(int(names[first[i]]), int(names[second[i]])) for i in order if shared[first[i], second[i]]]
