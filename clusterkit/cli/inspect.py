"""clusterkit inspect"""

from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.errors import InputError, UsageError

EXAMPLE = "Example: clusterkit inspect clusterkit-out/pairs.h5"


def register(app: typer.Typer) -> None:
    app.command("inspect", epilog=EXAMPLE)(with_common(inspect, folder=None))


def inspect(
    common: Common,
    file: Annotated[Path, typer.Argument(help="Any file of clusterkit.")],
    history: Annotated[
        bool, typer.Option("--history", help="Print only the losses of each epoch of a network's training, as CSV.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Only draw these losses, to a PNG of this name.", metavar="FILE.png")
    ] = None,
) -> None:
    """Check that a file is undamaged; show its kind, its origin and its content."""
    from clusterkit.artifacts.history import history_rows, to_csv
    from clusterkit.artifacts.summary import read_any, summarise

    if history and plot is not None:
        raise UsageError("--history and --plot: give only one of them")
    if plot is not None and plot.suffix.lower() != ".png":
        raise UsageError(f"--plot {plot}: is always a PNG; give a name that ends in .png")
    if plot is not None and plot.resolve() == file.resolve():
        raise UsageError(f"--plot {plot}: is the file to inspect; give another name")
    if not history and plot is None:
        summary = summarise(file)
        lines = [f"{name}\t{value}" for name, value in flat(summary)]
        console.result(lines, summary, common.as_json)
        return
    header, _ = read_any(file)
    rows = history_rows(header, file)
    if plot is None:
        console.result(to_csv(rows), {"history": rows}, common.as_json)
        return
    draw(rows, f"{file.name}, by clusterkit {header.stage}", plot)
    console.result([str(plot)], {"plot": str(plot)}, common.as_json)


def draw(rows: list[dict[str, Any]], title: str, plot: Path) -> None:
    """Write the picture to `plot`. Raises InputError if that file cannot be written."""
    from clusterkit.artifacts.files import atomic
    from clusterkit.report.curves import write_curves

    try:
        with atomic(plot) as temporary:
            write_curves(rows, title, temporary)
    except InputError as error:
        reason = getattr(error.__cause__, "strerror", None) or "not a place for a file"
        raise InputError(f"--plot {plot}: cannot be written ({reason}); make room or give another name") from error


def flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return nested values as pairs of a dotted name and a value, with the length in place of a long list."""
    if isinstance(value, dict):
        return [row for key, part in value.items() for row in flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list) and len(value) > 8:
        return [(name, f"{len(value)} entries")]
    return [(name, value)]
