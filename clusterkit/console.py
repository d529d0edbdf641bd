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
    """Plain lines on whatever stderr is now; of equal messages of `once` the first."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if getattr(record, "once", False):
            if message in self.said:
                return
            self.said.add(message)
        _to_stderr(message)


def processes() -> tuple[int, int]:
    """Return which process this is of how many that torchrun started: (0, 1) without it."""
    rank, count = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return (int(rank), int(count)) if rank.isdecimal() and count.isdecimal() else (0, 1)


def _to_stderr(message: str) -> None:
    rank, _ = processes()
    name = f"clusterkit [{rank}]" if rank else "clusterkit"
    # A training does not end because nobody listens any more.
    with suppress(BrokenPipeError):
        print(f"{name}: {message}", file=sys.stderr, flush=True)


def set_up(quiet: bool) -> None:
    """Send the program's messages to stderr; `quiet`, and every process but the first, leaves warnings and errors."""
    quiet = quiet or processes()[0] > 0
    log.handlers = [_Stderr()]
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    warnings.showwarning = _library_warning


def once(message: str, *values: object) -> None:
    """Log what a command may come upon several times and is to show once, as what it finds whenever it reads a set."""
    log.info(message, *values, extra={"once": True})


def _library_warning(message: Warning | str, *where: object, **more: object) -> None:
    log.warning("%s", " ".join(str(message).split()))


def result(lines: list[str], fields: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its lines, or with `--json` one object. Of several processes the first does."""
    if processes()[0] > 0:
        return
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
