"""What goes to the terminal: results to stdout, everything else to stderr."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

log = logging.getLogger("clusterkit")


class _Stderr(logging.Handler):
    """Plain lines on whatever stderr is now; what was said once is not repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not message or message not in self.said:
            self.said.add(message)
            _to_stderr(message)


def _to_stderr(message: str) -> None:
    # A training does not end because nobody listens any more.
    with suppress(BrokenPipeError):
        print(f"clusterkit: {message}", file=sys.stderr, flush=True)


def set_up(quiet: bool) -> None:
    """Send the program's messages to stderr; `quiet` leaves only warnings and errors."""
    log.handlers = [_Stderr()]
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    warnings.showwarning = _library_warning


def _library_warning(message: Warning | str, *where: object, **more: object) -> None:
    log.warning("%s", " ".join(str(message).split()))


def result(lines: list[str], fields: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its lines, or with `--json` one object."""
    text = json.dumps(fields, allow_nan=False) if as_json else "\n".join(lines)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Nobody reads the result any more; without this the interpreter would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    _to_stderr(f"error: {' '.join(message.split())}")
