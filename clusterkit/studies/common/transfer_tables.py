"""The rows of the study of transfer, and its tables of trainings."""

from dataclasses import dataclass, field
from typing import Any

from clusterkit.losses import Loss
from clusterkit.metrics.rows import Row
from clusterkit.settings import CountedBy
from clusterkit.studies.common.tables import Rows, Table, mean, pivot, where


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the tables: its title, its method of `cluster`, and the name of that method in the rows.

    `passes` are those of its paper over T, unless the paper has others for a set. `options` are those that are not the
    defaults of the method.
    """

    title: str
    method: str
    loss: Loss | None = None
    name: str = ""
    passes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Return the method and the loss in the rows."""
        return self.name or self.method, str(self.loss or "")


PLAIN = "ccn"
LINES = {
    "kmeans": Line(title="k-means", method="kmeans"),
    "lpnmf": Line(title="LPNMF", method="lpnmf"),
    "lsc": Line(title="LSC", method="lsc"),
    "kcl": Line(title="KCL", method="ccn", loss=Loss.KCL),
    "mcl": Line(title="MCL (CCL)", method="ccn", loss=Loss.CCL),
    PLAIN: Line(title="CCN, plain commands", method="ccn", name="ccn-plain", loss=Loss.CCL),
    "dec": Line(title="DEC", method="dec"),
    "dtc": Line(title="DTC", method="dtc", passes=110),
    "autonovel": Line(title="AutoNovel", method="autonovel", passes=200, options={"fine_tune": 1}),
    "autonovel-incremental": Line(
        title="AutoNovel, incremental", method="autonovel", name="autonovel-incremental", passes=200,
        options={"fine_tune": 1, "incremental": True},
    ),
    "supreme": Line(title="SUPREME", method="supreme", passes=100),
}  # fmt: skip
"""The rows of the tables by the value of --method."""
SHARED = {"classifier": "classifier", "g": "G of KCL and MCL", "plain-g": "G of the plain commands"}
"""The trainings that several runs share, with their titles."""
Facts = dict[str, dict[str, Any]]


def titled(row: Row) -> str:
    title = next(line.title for line in LINES.values() if line.key == (row.method, row.loss))
    return f"{title}, K estimated" if row.k == CountedBy.ESTIMATE else title


def trainings(facts: Facts) -> Table:
    """Return the table of the passes of each training on each set, and in brackets those of its paper."""
    titles = SHARED | {name: line.title for name, line in LINES.items()}

    def cell(name: str, fields: dict[str, Any]) -> str:
        passes, in_paper = fields["epochs"].get(name), fields["published"].get(name)
        return "" if passes is None else f"{passes} ({in_paper})" if in_paper else str(passes)

    names = [name for name in titles if any(name in fields["epochs"] for fields in facts.values())]
    lines = [[titles[name], *(cell(name, fields) for fields in facts.values())] for name in names]
    return Table(["training", *facts], lines)


def durations(rows: Rows, facts: Facts) -> Table:
    """Return the table of the seconds of each training on each set: means over the seeds for the methods."""
    lines = [
        [title, *(f"{seconds:.0f}" if (seconds := fields["seconds"].get(name)) else "" for fields in facts.values())]
        for name, title in SHARED.items()
        if any(name in fields["seconds"] for fields in facts.values())
    ]
    timed = [row for row in where(rows, metric="acc") if row.seconds is not None]
    columns = [(name, mean("acc", field="seconds", digits=0, set=name)) for name in facts]
    return Table(["training", *facts], lines + pivot(timed, {"training": titled}, columns).lines)
