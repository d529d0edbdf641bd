"""Commands in processes of their own that can be killed, fail to write, or run out of room, on small folders.

Each campaign numbers its trials. A trial depends on its number alone, so `pytest -m campaign -k "NAME and 17"` repeats
it.
"""

import errno
import fcntl
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clusterkit.__main__ import main

WRITING = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate")
"""The events of Python by which a program changes a folder."""
SECONDS = 120
"""A command on a small set that takes longer hangs."""


@dataclass(frozen=True)
class Done:
    """One call of the command line: its exit code, or minus the number of the signal that ended it, and its output.

    `seconds` are of the processor, `wall` those of the clock; `peak` is the largest number of bytes that it used.
    """

    code: int
    out: str
    err: str
    seconds: float
    wall: float
    peak: int

    @property
    def last(self) -> str:
        return self.err.splitlines()[-1] if self.err else ""

    def check(self, *codes: int) -> "Done":
        """Return this; fail unless the exit code is one of these and, if it is an error, one line explains it."""
        assert self.code in codes, f"exit code {self.code}, not {codes}\n{self.err}"
        assert "Traceback" not in self.err, self.err
        assert "Warning:" not in self.err, self.err
        if self.code not in (0, 130):
            errors = [line for line in self.err.splitlines() if line.startswith("clusterkit: error: ")]
            assert errors == [self.last], self.err
            assert self.out == "" or self.code == 4
        return self


Prepare = Callable[[], object]


def call(line: str | Sequence[str], prepare: Prepare | None = None, kill_after: float | None = None) -> Done:
    """Run a command in a fork of this process, in the current folder.

    `prepare` is called in the fork before the command. The fork is killed after `kill_after` seconds of the clock, and
    after `SECONDS`, which is an error.
    """
    return Running(line, prepare).end(kill_after)


class Running:
    """A command that runs in a fork of this process, in the folder that is the current one at its start."""

    def __init__(self, line: str | Sequence[str], prepare: Prepare | None = None) -> None:
        self.arguments = line.split() if isinstance(line, str) else list(line)
        pipes = [os.pipe() for _ in ("stdout", "stderr")]
        self.streams = [read for read, _ in pipes]
        sys.stdout.flush()
        sys.stderr.flush()
        self.started = time.monotonic()
        self.process = os.fork()
        if not self.process:
            _be(self.arguments, [write for _, write in pipes], prepare)
        for read, write in pipes:
            os.close(write)
            os.set_blocking(read, False)
            # What a command writes stays there until its end. A limit of the size of files is none of a pipe.
            fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, 2**20)

    def end(self, kill_after: float | None = None) -> Done:
        """Wait for the end; arguments and errors are those of `call`."""
        until = time.monotonic() + (SECONDS if kill_after is None else kill_after)
        ended, status, usage = os.wait4(self.process, os.WNOHANG)
        while not ended:
            if time.monotonic() > until:
                os.kill(self.process, signal.SIGKILL)
                ended, status, usage = os.wait4(self.process, 0)
                assert kill_after is not None, f"no end after {SECONDS} seconds: {' '.join(self.arguments)}"
            else:
                time.sleep(0.002)
                ended, status, usage = os.wait4(self.process, os.WNOHANG)
        wall = time.monotonic() - self.started
        texts = []
        for stream in self.streams:
            with os.fdopen(stream, "rb", buffering=0) as pipe:
                texts.append((pipe.read(2**20) or b"").decode(errors="replace"))
        seconds, peak = usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss
        return Done(os.waitstatus_to_exitcode(status), *texts, seconds, wall, peak)


def _be(arguments: list[str], streams: list[int], prepare: Prepare | None) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        if prepare is not None:
            prepare()
        code = main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Changes:
    """Counts the events by which a process changes a folder, and does something before one of them.

    It is what `prepare` of `call` expects.
    """

    folder: Path
    at: int | None = None
    action: Callable[[], object] | None = None
    log: int | None = None
    count: int = 0

    def __call__(self) -> None:
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in WRITING or not self._changes(event, arguments):
            return
        self.count += 1
        if self.log is not None:
            os.write(self.log, b".")
        if self.count == self.at and self.action is not None:
            self.action()

    def _changes(self, event: str, arguments: tuple[object, ...]) -> bool:
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        if event == "open" and not isinstance(arguments[2], int):
            return False
        if event == "open" and not int(arguments[2]) & (os.O_WRONLY | os.O_RDWR):  # type: ignore[call-overload]
            return False
        return Path(os.fsdecode(path)).absolute().is_relative_to(self.folder)


def counted(line: str, folder: Path) -> tuple[Done, int]:
    """Run a command to its end; return how often it changed something in a folder."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    done = call(line, Changes(folder, log=write))
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return done, len(pipe.read())


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def failing(number: int) -> Callable[[], None]:
    """Return an action that fails as the system does."""

    def action() -> None:
        raise OSError(number, os.strerror(number))

    return action


ERRORS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS, errno.EDQUOT)


def snapshot(folder: Path) -> dict[str, str]:
    """Return a hash of each file below a folder by its path, hidden ones too; links count as what they say."""
    found = {}
    for path in walk(folder):
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in files:
            yield Path(place, name)


def is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in Path(path).parts)


def shown(files: dict[str, str]) -> dict[str, str]:
    """Return the files that are not hidden."""
    return {path: content for path, content in files.items() if not is_hidden(path)}


def copied(folder: Path, place: Path) -> Path:
    """Copy a folder with its links, hard ones too, which say what a set of pictures holds."""
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(folder), str(place)], check=True)
    return place


def chance_of(*words: object) -> random.Random:
    """Return the source of chance of one trial."""
    return random.Random(" ".join(map(str, words)))
