"""What goes to the terminal: results to stdout, everything else to stderr."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger("clusterkit")


class _Stderr(logging.Handler):
    """Plain lines on whatever stderr is now."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"clusterkit: {record.getMessage()}", file=sys.stderr, flush=True)


def set_up(quiet: bool) -> None:
    """Send the program's messages to stderr; `quiet` leaves only warnings and errors."""
    log.handlers = [_Stderr()]
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)


def result(lines: list[str], fields: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its lines, or with `--json` one object."""
    text = json.dumps(fields, allow_nan=False) if as_json else "\n".join(lines)
    print(text, flush=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal while something runs, and nothing anywhere else; yield what moves it on by one."""
    if not (sys.stderr.isatty() and log.isEnabledFor(logging.INFO)) or os.environ.get("TERM") == "dumb":
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def error(message: str) -> None:
    """Print a one-line error."""
    print(f"clusterkit: error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def silence_broken_pipe() -> None:
    """Keep the interpreter from complaining at exit that nobody reads stdout any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
