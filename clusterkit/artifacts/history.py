"""The history of a training, its mean losses in each epoch, which the header of its file holds."""

import csv
import io
from pathlib import Path
from typing import Any

from clusterkit.artifacts.header import Header
from clusterkit.errors import InputError

Row = dict[str, Any]
"""`subset` and `training`, both None in a file of one training; `epoch`, from 1; and the mean of each loss."""
NETWORKS = ("g", "pretrained", "ccn", "adapted", "critic")
KEPT_BY = "inspect a file of train-g, self-train, pretrain, cluster, adapt or train-critic"


def history_rows(header: Header, path: Path) -> list[Row]:
    """Return one row per epoch, ordered by subset and training, with None for a loss that a training does not have.

    Raises InputError for a file without a history.
    """
    history = header.extra.get("history") or []
    trainings: list[tuple[str | None, str | None, list[dict[str, float]]]] = [(None, None, history)]
    if isinstance(history, dict):
        trainings = [(subset, title, losses) for subset, titles in history.items() for title, losses in titles.items()]
    losses = dict.fromkeys(name for _, _, epochs in trainings for means in epochs for name in means)
    rows = [
        {"subset": subset, "training": title, "epoch": number, **{name: means.get(name) for name in losses}}
        for subset, title, epochs in trainings
        for number, means in enumerate(epochs, 1)
    ]
    if not rows:
        if header.format in NETWORKS and not header.extra.get("steps"):
            raise InputError(f"{path}: was made before such files kept a history; repeat: clusterkit {header.stage}")
        raise InputError(f"{path}: holds no history of a training; {KEPT_BY}")
    return rows


def to_csv(rows: list[Row]) -> list[str]:
    """Return the lines of a CSV with a header line; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()
