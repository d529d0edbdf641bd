"""clusterkit inspect"""

from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common

EXAMPLE = "Example: clusterkit inspect clusterkit-out/pairs.h5"


def register(app: typer.Typer) -> None:
    app.command("inspect", epilog=EXAMPLE)(with_common(inspect))


def inspect(common: Common, file: Annotated[Path, typer.Argument(help="Any artifact of clusterkit.")]) -> None:
    """Show what an artifact is, what it was made from and what it holds, after checking that it is whole."""
    from clusterkit.artifacts.summary import summarise

    summary = summarise(file)
    lines = [f"{name}\t{value}" for name, value in flat(summary)]
    console.result(lines, summary, common.as_json)


def flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return nested values as dotted names and values; long lists by their length."""
    if isinstance(value, dict):
        return [row for key, part in value.items() for row in flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list) and len(value) > 8:
        return [(name, f"{len(value)} entries")]
    return [(name, value)]
