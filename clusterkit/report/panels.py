"""Pictures of a clustering: one panel of images per subset."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import atomic
from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_recorded

Draw = Callable[[Subset, Assignment], NDArray[np.uint8]]


def write_panels(
    context: Context, assignments: Path, output: Path, draw: Draw, title: str, height: float,
    choose: Callable[[list[str]], Sequence[str]],
) -> Path:  # fmt: skip
    """Write a PNG with a panel per subset, `height` inches high; `choose` selects subsets from all names."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    header, results = read_assignments(assignments)
    data = load_recorded(header.dataset, context, assignments)
    subsets = {subset.name: subset for subset in data.subsets if subset.name in results}
    names = choose(list(subsets))
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), height), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        axis.imshow(draw(subsets[name], results[name]), cmap="gray", interpolation="nearest")
        axis.set_title(f"{name}: {title}")
        axis.axis("off")
    figure.tight_layout()
    with atomic(output) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
    plt.close(figure)
    return output
