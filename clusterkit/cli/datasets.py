"""clusterkit datasets"""

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common

EXAMPLE = "Example: clusterkit datasets --data ~/datasets"


def register(app: typer.Typer) -> None:
    app.command("datasets", epilog=EXAMPLE)(with_common(datasets, folder=None))


def datasets(common: Common) -> None:
    """List the data sets and say whether their files are present under --data.

    Commands take names of the form NAME[/SUBSET][@CLASSES], for example omniglot_eval/Angelic or cifar10_train@0-4.
    """
    from clusterkit.datasets.catalogue import listing

    rows = listing(common.context.data)
    width = max(len(row.name) for row in rows)
    lines = [f"{row.name:{width}}  {row.state:8}  {row.about}" for row in rows]
    fields = {row.name: {"state": row.state, "about": row.about, "files": row.files} for row in rows}
    console.result(lines, fields, common.as_json)
