"""The losses of each epoch that a training leaves in the header of its file."""

import csv
import io
from pathlib import Path
from typing import Any

from clusterkit.artifacts.header import Header
from clusterkit.errors import InputError

Row = dict[str, Any]
"""`subset` and `training`, None where a file has one training only; `epoch` from 1; and the mean of each loss."""
NETWORKS = ("g", "pretrained", "ccn", "adapted")
KEPT_BY = "inspect a file of train-g, self-train, pretrain, cluster or adapt"


def history_rows(header: Header, path: Path) -> list[Row]:
    """Return a row an epoch, subset by subset and training by training. Raises InputError for a file without any.

    A loss that a training does not have is None in its rows.
    """
    history = header.extra.get("history") or []
    trainings: list[tuple[str | None, str | None, list[dict[str, float]]]] = [(None, None, history)]
    if isinstance(history, dict):
        trainings = [(subset, title, losses) for subset, own in history.items() for title, losses in own.items()]
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
    """Return the lines of a CSV, a header line first; what is None is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()
