"""The work folder of a running command: found to be writable before the work, and locked against other jobs."""

import errno
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clusterkit import console
from clusterkit.artifacts.files import tidy, unwritable
from clusterkit.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The name of the lock file. It describes the job that holds the folder."""
LEAST_FREE = 2**16
"""The free bytes without which no command starts: the smallest results, such as k.json, need about as many."""
TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
"""The errors of a lock that another process holds; other errors mean that the file system has no locks."""


@contextmanager
def held(folder: Path, command: str) -> Iterator[None]:
    """Make a folder if it is missing, and hold it for one job until the block ends.

    A folder that was made here and is empty at the end is removed. Raises InputError if another job holds the folder,
    or if it cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _locked(folder, made, command):
            yield
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _locked(folder: Path, missing: list[Path], command: str) -> Iterator[None]:
    """Make the missing folders, the innermost of which is first, and hold the lock file."""
    path = folder / LOCK
    try:
        for outer in reversed(missing):
            outer.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        is_locked = _lock(file, folder)
        try:
            if is_locked and (killed := _killed(file)) is not None:
                tidy(folder, killed)
            _describe(file, folder, command)
            yield
        finally:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(file)


def _lock(file: int, folder: Path) -> bool:
    """Lock an open file; return whether the file system has locks.

    Raises InputError, which names the holder, if another process has locked it.
    """
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no locks")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder may have removed the file after it was opened here; then a new one can be locked by others.
        is_current = (folder / LOCK).exists() and os.path.samestat(os.fstat(file), (folder / LOCK).stat())
    except OSError as error:
        if error.errno in TAKEN:
            raise _taken(file, folder) from error
        console.log.info("%s: cannot be locked (%s), so run only one command there at a time", folder, error.strerror)
        return False
    if not is_current:
        raise _taken(file, folder)
    return True


@contextmanager
def in_turn(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock file until the block ends; if another process holds it, log `waiting` and wait for its end.

    Without locks of the file system nobody waits. Raises OSError if the file cannot be written.
    """
    with path.open("ab") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in TAKEN:
                console.log.info("%s", waiting)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _killed(file: int) -> int | None:
    """Return the process of this machine that left a lock file behind, None if there is none or it still runs."""
    try:
        job = json.loads(os.pread(file, 4096, 0))
        if job["host"] != platform.node() or job["process"] == os.getpid():
            return None
        os.kill(process := int(job["process"]), 0)
    except ProcessLookupError:
        return process
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _describe(file: int, folder: Path, command: str) -> None:
    """Write into the lock file which job holds the folder. Raises InputError if the disk is full."""
    job = {"command": command, "process": os.getpid(), "host": platform.node(), "since": time.strftime("%F %R")}
    try:
        os.ftruncate(file, 0)
        os.write(file, json.dumps(job).encode())
        if shutil.disk_usage(folder).free < LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise _unwritable(folder, error) from error


def _taken(file: int, folder: Path) -> InputError:
    """Return the error for a folder that another job holds, whose lock file is open."""
    try:
        job = json.loads(os.pread(file, 4096, 0))
        where = "" if job["host"] == platform.node() else f" on {job['host']}"
        holder = f" ({job['command']}, process {job['process']}{where}, since {job['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        holder = ""
    return InputError(
        f"{folder}: another job is writing there{holder}; wait for it, or name another folder with --workdir"
    )


def _unwritable(folder: Path, error: OSError) -> InputError:
    return unwritable(f"{folder}{os.sep}", error)
