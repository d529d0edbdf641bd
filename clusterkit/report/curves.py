"""Curves of trainings: each loss by epoch."""

from pathlib import Path

import numpy as np

from clusterkit.artifacts.history import Row

ROWS = 20
"""Entries in one column of the legend."""
STYLES = ("solid", "dashed", "dotted", "dashdot")
SPREAD = 10
"""The axis is logarithmic if the largest loss is more than so many times the smallest."""


def write_curves(rows: list[Row], title: str, output: Path) -> None:
    """Write a PNG of the rows of a history, with a panel per loss and a line per training. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    trainings: dict[str, list[Row]] = {}
    for row in rows:
        trainings.setdefault(", ".join(filter(None, (row["subset"], row["training"]))), []).append(row)
    losses = [name for name in rows[0] if name not in ("subset", "training", "epoch")]
    colours = plt.get_cmap("turbo")(np.linspace(0.1, 0.9, len(trainings)))
    columns = -(-len(trainings) // ROWS) if len(trainings) > 1 else 0
    legend = columns * (0.6 + 0.06 * max(map(len, trainings)))
    figure, axes = plt.subplots(
        1, len(losses), figsize=(5.5 * len(losses) + 1 + legend, 4.5), squeeze=False, layout="constrained"
    )
    for axis, loss in zip(axes[0], losses, strict=True):
        for number, (label, epochs) in enumerate(trainings.items()):
            axis.plot(
                [row["epoch"] for row in epochs], [np.nan if row[loss] is None else row[loss] for row in epochs],
                label=label, color=colours[number], linewidth=1.2, linestyle=STYLES[number % len(STYLES)],
                marker="o" if len(epochs) == 1 else None,
            )  # fmt: skip
        values = [row[loss] for row in rows if row[loss] is not None]
        if min(values) > 0 and max(values) > SPREAD * min(values):
            axis.set_yscale("log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("epoch")
        axis.set_ylabel(loss)
        axis.grid(alpha=0.3)
    if columns:
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7, ncols=columns)
    axes[0][0].set_title(title, loc="left")
    figure.savefig(output, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
