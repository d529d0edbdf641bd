"""Heat maps of NMI over the recalls of similar and dissimilar pairs (L2C, figure 8)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Maps = Mapping[tuple[str, int, float], NDArray[np.float64]]
"""NMI (S, S) by loss, K and density. Rows are recalls of similar pairs, columns recalls of dissimilar pairs."""


def write_heat_maps(maps: Maps, recalls: Sequence[float], output: Path) -> None:
    """Write a PNG of the maps, with a row per K and a column per density and loss. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ks = list(dict.fromkeys(k for _, k, _ in maps))
    columns = list(dict.fromkeys((density, loss) for loss, _, density in maps))
    columns.sort(key=lambda column: -column[0])
    figure, axes = plt.subplots(
        len(ks), len(columns), figsize=(3.2 * len(columns) + 1, 3.3 * len(ks)), squeeze=False, layout="constrained"
    )
    # More than six labels would overlap.
    marks = np.linspace(0, len(recalls) - 1, min(6, len(recalls))).round().astype(int)
    for row, k in zip(axes, ks, strict=True):
        for axis, (density, loss) in zip(row, columns, strict=True):
            image = axis.imshow(maps[loss, k, density], cmap="inferno", vmin=0, vmax=1, origin="lower")
            axis.set_title(f"{loss.upper()}, K = {k}, D = {density:g}")
            axis.set_xticks(marks, [f"{recalls[mark]:.2g}" for mark in marks])
            axis.set_yticks(marks, [f"{recalls[mark]:.2g}" for mark in marks])
            axis.set_xlabel("recall of dissimilar pairs")
            axis.set_ylabel("recall of similar pairs")
    figure.colorbar(image, ax=axes, label="NMI", shrink=0.8)
    figure.savefig(output, format="png", dpi=100, metadata={"Software": None})
    plt.close(figure)
