"""What a study left in its folder, read back."""

import csv
import json
from dataclasses import fields
from pathlib import Path

from clusterkit.metrics.rows import Row
from clusterkit.settings import Options
from clusterkit.studies import STUDIES
from clusterkit.studies.common.driver import Outcome
from clusterkit.studies.common.tables import markdown

NUMBERS = {"seed": int, "value": float, "published": float, "seconds": float, "bytes": int}
EMPTY = dict.fromkeys(NUMBERS)


def read_rows(folder: Path) -> list[Row]:
    """Read `results.csv`, in which what does not apply is empty."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == [field.name for field in fields(Row)]
    return [
        Row(**{name: NUMBERS.get(name, str)(text) if text else EMPTY.get(name, "") for name, text in line.items()})
        for line in lines
    ]


def check_files(name: str, options: Options, workdir: Path = Path("clusterkit-out")) -> list[Row]:
    """Return the rows of a study after a check that its three files have the same figures, each of them once.

    The tables are made again from the rows of `results.csv`, so that they can have no figure that is not there.
    """
    folder = workdir / name
    rows = read_rows(folder)
    content = json.loads((folder / f"{name}.json").read_text())
    facts = {key: value for key, value in content.items() if key not in ("study", "settings", "rows")}
    assert content["study"] == name
    assert [Row(**row) for row in content["rows"]] == rows
    assert markdown(STUDIES[name].document(options, Outcome(rows, facts))) == (folder / f"{name}.md").read_text()
    keys = [(row.set, row.subset, row.method, row.loss, row.k, row.seed, row.metric) for row in rows]
    assert len(set(keys)) == len(keys)
    return rows
