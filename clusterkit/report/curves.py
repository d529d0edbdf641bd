"""The curves of trainings: each loss by epoch."""

from pathlib import Path

import numpy as np

from clusterkit.artifacts.history import Row

ROWS = 20
"""Lines of the legend in one column."""
STYLES = ("solid", "dashed", "dotted", "dashdot")
SPREAD = 10
"""The ratio of the largest to the smallest loss from which the axis is logarithmic."""


def write_curves(rows: list[Row], title: str, output: Path) -> None:
    """Draw the rows of a history, a panel a loss and a line a training, and write a PNG. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    trainings: dict[tuple[str | None, str | None], list[Row]] = {}
    for row in rows:
        trainings.setdefault((row["subset"], row["training"]), []).append(row)
    losses = [name for name in rows[0] if name not in ("subset", "training", "epoch")]
    subsets = list(dict.fromkeys(subset for subset, _ in trainings))
    colours = plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(subsets))) if len(subsets) > 1 else ["C0"]
    figure, axes = plt.subplots(
        1, len(losses), figsize=(5.5 * len(losses) + 1, 4.5), squeeze=False, layout="constrained"
    )
    for axis, loss in zip(axes[0], losses, strict=True):
        for number, ((subset, training), own) in enumerate(trainings.items()):
            before = sum(1 for other, _ in list(trainings)[:number] if other == subset)
            points = [(row["epoch"], row[loss]) for row in own if row[loss] is not None]
            label = ", ".join(part for part in (subset, training) if part is not None)
            axis.plot(
                *zip(*points, strict=True), label=label, color=colours[subsets.index(subset)], linewidth=1.2,
                linestyle=STYLES[before % len(STYLES)], marker="o" if len(own) == 1 else None,
            )  # fmt: skip
        drawn = [row[loss] for row in rows if row[loss] is not None]
        if min(drawn) > 0 and max(drawn) > SPREAD * min(drawn):
            axis.set_yscale("log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("epoch")
        axis.set_ylabel(loss)
        axis.grid(alpha=0.3)
    if len(trainings) > 1:
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7, ncols=-(-len(labels) // ROWS))
    figure.suptitle(title)
    figure.savefig(output, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
