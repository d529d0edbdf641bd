"""What goes to the terminal: results to stdout, everything else to stderr."""

import json
import logging
import os
import sys
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


def error(message: str) -> None:
    """Print a one-line error."""
    print(f"clusterkit: error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def silence_broken_pipe() -> None:
    """Keep the interpreter from complaining at exit that nobody reads stdout any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
