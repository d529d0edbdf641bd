"""Output: results go to stdout, everything else to stderr."""

import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

log = logging.getLogger("clusterkit")


class _Stderr(logging.Handler):
    """Writes plain lines to the current stderr; of equal messages of `once` only the first."""

    def __init__(self, folder: Path | None, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.folder = folder
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if getattr(record, "once", False):
            if message in self.shown:
                return
            self.shown.add(message)
        _to_stderr(message)


def processes() -> tuple[int, int]:
    """Return this process's number and the number of processes that torchrun started; (0, 1) without torchrun."""
    rank, count = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    return (int(rank), int(count)) if rank.isdecimal() and count.isdecimal() else (0, 1)


def _to_stderr(message: str) -> None:
    if sys.stderr is None:
        return
    rank, _ = processes()
    name = f"clusterkit [{rank}]" if rank else "clusterkit"
    # A training goes on after the reader of stderr has ended, or after the disk of a log is full.
    with suppress(OSError):
        print(f"{name}: {printable(message)}", file=sys.stderr, flush=True)


def set_up(quiet: bool, folder: Path | None = None) -> None:
    """Send messages to stderr; with `quiet`, and in all processes but the first, only warnings and errors.

    `folder` is the work folder of the command, in which long lists can be written.
    """
    quiet = quiet or processes()[0] > 0
    log.handlers = [_Stderr(folder)]
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    warnings.showwarning = _library_warning
    # Libraries log their warnings to loggers without a handler.
    logging.lastResort = _Stderr(folder, logging.WARNING)


def once(message: str, *values: object) -> None:
    """Log a message that a command shows only once, even if it occurs every time the command reads a data set."""
    log.info(message, *values, extra={"once": True})


def work_folder() -> Path | None:
    """Return the work folder of this command; None in a Python program, and in all processes but the first."""
    folders = [handler.folder for handler in log.handlers if isinstance(handler, _Stderr)]
    return folders[0] if folders and processes()[0] == 0 else None


def _library_warning(message: Warning | str, *where: object, **more: object) -> None:
    log.warning("%s", " ".join(str(message).split()))


def result(lines: list[str], fields: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its lines, or with `--json` one object. Only the first process prints."""
    if processes()[0] > 0:
        return
    text = json.dumps(_readable(fields), allow_nan=False) if as_json else _readable("\n".join(lines))
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader of stdout has ended; without this the interpreter prints an error at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left if stderr is a terminal; yield the function that advances it by one."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if not (is_terminal and log.isEnabledFor(logging.INFO)):
        yield lambda: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(title), total=total, completed=done)
        yield lambda: bar.advance(task)


def duration(seconds: float) -> str:
    """Return a time in the largest unit of which there are at least two, as in `40 s`, `3 min` or `5 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Return a number of bytes in the largest unit of which there is at least one, as in `3.5 GB` or `20 MB`."""
    for one, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= 0.9995 * one:  # 999.6 MB would be shown as 1e+03 MB
            return f"{count / one:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def warn_all(messages: list[str]) -> list[str]:
    """Log warnings about a result, which `--quiet` does not hide; return them for the result's `warnings`."""
    if processes()[0] == 0:
        for message in messages:
            log.warning("%s", message)
    return messages


CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def printable(text: str) -> str:
    """Return a text in one line, for example a file name.

    Bytes that are not UTF-8 are escaped, as in `caf\\xe9.png`, and so are line breaks and other control characters.
    """
    return str(_readable(text)).translate(CONTROLS)


def _readable(value: Any) -> Any:
    """Return a value of JSON in which bytes of file names that are not UTF-8 are escaped."""
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case dict():
            return {_readable(name): _readable(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_readable(inner) for inner in value]
        case _:
            return value


def escape_output() -> None:
    """Let stdout and stderr escape the characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def error(message: str) -> None:
    """Print a one-line error."""
    _to_stderr(f"error: {' '.join(message.split())}")
