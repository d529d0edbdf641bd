"""Pictures of a clustering: one panel of images a subset."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import atomic
from clusterkit.config import Context
from clusterkit.datasets.base import Subset
from clusterkit.datasets.catalogue import load_dataset

Draw = Callable[[Subset, Assignment], NDArray[np.uint8]]


def write_panels(
    context: Context, assignments: Path, output: Path, draw: Draw, title: str, height: float,
    choose: Callable[[list[str]], Sequence[str]],
) -> Path:  # fmt: skip
    """Draw the subsets that `choose` takes of all names side by side, `height` inches high, and write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    header, found = read_assignments(assignments)
    form = header.dataset
    data = load_dataset(
        form["name"], context.data, offline=context.offline, size=form["size"], channels=form["channels"]
    )
    held = {subset.name: subset for subset in data.subsets if subset.name in found}
    shown = choose(list(held))
    figure, axes = plt.subplots(1, len(shown), figsize=(5 * len(shown), height), squeeze=False)
    for axis, name in zip(axes[0], shown, strict=True):
        axis.imshow(draw(held[name], found[name]), cmap="gray", interpolation="nearest")
        axis.set_title(f"{name}: {title}")
        axis.axis("off")
    figure.tight_layout()
    with atomic(output) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
    plt.close(figure)
    return output
