"""How clustering fares with wrong pairs: heat maps over both recalls, and their summary (L2C, figure 8)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.report.tables import table

Maps = Mapping[tuple[str, int, float], NDArray[np.float64]]
"""NMI by loss, K and density: (S, S), a row a recall of similar pairs and a column one of dissimilar pairs."""
GOOD = 0.8


def write_heat_maps(maps: Maps, recalls: Sequence[float], output: Path) -> None:
    """Draw the maps, a row of them a K and a column a density and loss, and write a PNG. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ks = list(dict.fromkeys(k for _, k, _ in maps))
    columns = list(dict.fromkeys((density, loss) for loss, _, density in maps))
    columns.sort(key=lambda column: -column[0])
    figure, axes = plt.subplots(
        len(ks), len(columns), figsize=(3.2 * len(columns) + 1, 3.3 * len(ks)), squeeze=False, layout="constrained"
    )
    # At most six labels, the ends always among them.
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


Row = dict[str, str | float]


def summary(maps: Maps) -> list[Row]:
    """Return each map's mean NMI and the share of its cells above GOOD."""
    return [
        {"loss": loss, "k": k, "density": density, "mean_nmi": mean(found), "share_above": mean(found > GOOD)}
        for (loss, k, density), found in maps.items()
    ]


def mean(values: NDArray[np.float64 | np.bool]) -> float:
    return round(float(values.mean()), 4)


def markdown(rows: list[Row], restarts: int, failed: int, picture: str) -> str:
    """Return the summary as a table with what must be known to read it; `picture` is the file of the maps."""
    chosen = f", and each cell is the best of {restarts} restarts by the labels" if restarts > 1 else ""
    head = ["loss", "K", "density", "mean NMI", f"cells with NMI above {GOOD:g}"]
    lines = []
    for row in rows:
        scores = f"{row['mean_nmi']:.3f}", f"{row['share_above']:.0%}"
        lines.append([str(row["loss"]).upper(), str(row["k"]), f"{row['density']:g}", *scores])
    parts = [
        "# Robustness to wrong pairs (L2C, figure 8)",
        f"A supervised study: the pairs are the true ones with simulated errors{chosen}.",
        f"![NMI by the recall of similar and of dissimilar pairs]({picture})",
        table(head, lines),
        f"Runs whose loss was no longer a number, which count as one cluster, NMI 0: {failed}.",
    ]
    return "\n\n".join(parts) + "\n"
