"""Curves of the scores of a method by the values of its settings (SUPREME, figures 5 and 6)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

Sweep = Sequence[tuple[float, Mapping[str, float]]]
"""The values of a setting in rising order, each with the scores by their names."""


def write_sweeps(sweeps: Mapping[tuple[str, str], Sweep], output: Path) -> None:
    """Write a PNG with a row of panels per set and a panel per setting; keys are the names of both. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sets, settings = (list(dict.fromkeys(key[part] for key in sweeps)) for part in (0, 1))
    figure, axes = plt.subplots(
        len(sets), len(settings), figsize=(2.7 * len(settings), 2.9 * len(sets)), squeeze=False, sharey="row",
        layout="constrained",
    )  # fmt: skip
    for row, name in zip(axes, sets, strict=True):
        for axis, setting in zip(row, settings, strict=True):
            sweep = sweeps[name, setting]
            # Values are at equal distances, as 0 has no logarithm.
            for score in sweep[0][1]:
                axis.plot([scores[score] for _, scores in sweep], marker="o", linewidth=1.2, label=score)
            axis.set_xticks(range(len(sweep)), [f"{value:g}" for value, _ in sweep])
            axis.set_xlabel(setting)
            axis.grid(alpha=0.3)
        row[0].set_ylabel(name)
    axes[0][0].legend(fontsize=8)
    figure.savefig(output, format="png", dpi=100, metadata={"Software": None})
    plt.close(figure)
