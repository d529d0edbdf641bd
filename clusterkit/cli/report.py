"""clusterkit report"""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import ReportConfig
from clusterkit.reading import LABELS
from clusterkit.settings import Placing

EXAMPLE = "Example: clusterkit report"


def register(app: typer.Typer) -> None:
    more = [flag for flag in reading_flags(labels=True) if flag.name == LABELS]
    app.command("report", epilog=EXAMPLE)(with_common(report, more=more))


def report(
    common: Common,
    assignments: Annotated[
        str, typer.Option(help="The assignments to show: a file of cluster, assign or adapt.")
    ] = ReportConfig.assignments,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also show the true classes of a labelled set, and scores.")
    ] = False,
    folders: Annotated[
        Path | None,
        typer.Option(help="Also put every picture into a folder of its cluster, below this new folder.", metavar="DIR"),
    ] = None,
    by: Annotated[
        Placing, typer.Option(help="How pictures get into --folders; move writes undo.sh, which moves them back.")
    ] = ReportConfig.by,
) -> None:
    """Show clusters on a page with pictures, and list every item in a table; write report.html and clusters.csv.

    Open report.html in a browser; it needs no network. --json prints the rows of the table.
    """
    from clusterkit.stages import report as stage

    done = stage.run(ReportConfig(assignments=assignments, truth=truth, folders=folders, by=by), common.context)
    rows = [asdict(row) for row in done.rows]
    if not truth:
        for row in rows:
            del row["truth"]
    fields = {
        "artifact": str(done.artifact),
        "table": str(done.table),
        "dataset": done.dataset,
        "rows": rows,
        "duplicates": done.duplicates,
    }
    if folders is not None:
        fields["folders"] = str(folders)
    lines = [str(done.artifact)]
    if done.undo is not None:
        fields["undo"] = str(done.undo)
        lines.append(f"sh {shlex.quote(str(done.undo))}")
    console.result(lines, fields, common.as_json)
