"""Scores of a critic by the number of mislabelled points (C2M, figure 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def write_mislabelled(panels: Mapping[str, Sequence[tuple[float, float]]], output: Path) -> None:
    """Write a PNG with a panel for each name, of numbers of mislabelled points and their scores. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 2
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3 * rows), squeeze=False, layout="constrained")
    for axis, (name, points) in zip(axes.flat, panels.items(), strict=False):
        axis.scatter(*zip(*points, strict=True), s=14)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("mislabelled points")
        axis.set_ylabel("score")
        axis.grid(alpha=0.3)
    figure.savefig(output, format="png", dpi=100, metadata={"Software": None})
    plt.close(figure)
