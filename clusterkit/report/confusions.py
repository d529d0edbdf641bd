"""A picture of the classes that a clustering confuses."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.files import atomic
from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.metrics.clustering import contingency

PAIRS, COLUMNS = 4, 12
GAP = 2


def write_confusions(context: Context, assignments: Path, subsets: list[str], output: Path) -> Path:
    """Draw the most confused pairs of classes of some labelled subsets, a row of images a class, and write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    header, found = read_assignments(assignments)
    form = header.dataset
    data = load_dataset(
        form["name"], context.data, offline=context.offline, size=form["size"], channels=form["channels"]
    )
    shown = {subset.name: subset for subset in data.subsets}
    figure, axes = plt.subplots(1, len(subsets), figsize=(5 * len(subsets), 4.4), squeeze=False)
    for axis, name in zip(axes[0], subsets, strict=True):
        axis.imshow(confusions(shown[name], found[name].cluster), cmap="gray", interpolation="nearest")
        axis.set_title(f"{name}: classes confused, two by two")
        axis.axis("off")
    figure.tight_layout()
    with atomic(output) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
    plt.close(figure)
    return output


def confusions(subset: Subset, clusters: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return one image of the most confused pairs of classes, two rows each with a gap between the pairs."""
    assert subset.labels is not None
    labels = subset.labels.numpy()
    rows = []
    for pair in most_confused(clusters, labels):
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
    """Return pairs of classes, at most PAIRS of them, by how many of their items share clusters, most first.

    Of a cluster with a items of one class and b of another, min(a, b) count.
    """
    table = contingency(clusters, labels)
    shared = np.minimum(table[:, :, None], table[:, None, :]).sum(0)
    names = np.unique(labels)
    first, second = np.triu_indices(len(names), 1)
    order = np.argsort(-shared[first, second], kind="stable")[:PAIRS]
    return [(int(names[first[i]]), int(names[second[i]])) for i in order if shared[first[i], second[i]]]
