"""Atomic writes and hashes of files: a reader sees the old file or the new one, never a part of a file."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clusterkit import console
from clusterkit.errors import InputError


@contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, otherwise it is removed.

    With `durable` the file also survives a power failure. Raises InputError if the folder cannot be written.
    """
    with together(path, durable=durable) as [temporary]:
        yield temporary


@contextmanager
def together(*paths: Path, durable: bool = True) -> Iterator[list[Path]]:
    """Yield a temporary path beside each path; on success they replace all paths, otherwise none.

    `durable` and errors are as in `atomic`.
    """
    temporaries = [_sibling(path, "tmp") for path in paths]
    for path in paths:
        make_folder(path.parent, path)
    try:
        yield temporaries
        if durable:
            for temporary in temporaries:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
        _put_in_place(paths, temporaries)
    except OSError as error:
        raise unwritable(paths[0], error) from error
    finally:
        _remove(*temporaries)


def _put_in_place(paths: Sequence[Path], temporaries: Sequence[Path]) -> None:
    """Rename each temporary file to its path; if one cannot be renamed, restore the old files."""
    olds = [_sibling(path, "old") for path in paths[:-1]]
    path = paths[0]
    try:
        for path, old in zip(paths, olds, strict=False):
            _keep(path, old)
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
    except BaseException as error:
        # A missing temporary file has been renamed. The last one is renamed last, so then all are.
        if temporaries[-1].exists():
            for place, temporary, old in zip(paths, temporaries, olds, strict=False):
                if not temporary.exists():
                    _put_back(place, old)
        _remove(*olds)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise
    _remove(*olds)


def _keep(path: Path, old: Path) -> None:
    """Keep the file at `path`, if it exists, also as `old`: by a hard link, or by a copy if the disk has no links."""
    _remove(old)
    if not os.path.lexists(path):
        return
    try:
        os.link(path, old)
    except OSError:
        shutil.copy2(path, old, follow_symlinks=False)


def _put_back(path: Path, old: Path) -> None:
    if os.path.lexists(old):
        old.replace(path)
    else:
        path.unlink()


def _remove(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _sibling(path: Path, ending: str, process: int | None = None) -> Path:
    return path.with_name(f".{path.name}.{process or os.getpid()}.{ending}")


def tidy(folder: Path, process: int) -> None:
    """Undo the writes of a process that was killed, in a folder where it wrote alone, and in the states below it.

    Of files that belong together, those that had been replaced come back if not all had been. A file that had no old
    version stays. What cannot be removed is left.
    """
    for place in (folder, *folder.glob(".*.state")):
        temporaries, olds = ([*place.glob(f".*.{process}.{ending}")] for ending in ("tmp", "old"))
        # Temporary files show what is unfinished, so they are removed last: a second kill does no harm.
        for old in olds:
            path = place / old.name.removeprefix(".").removesuffix(f".{process}.old")
            if temporaries and _sibling(path, "tmp", process) not in temporaries:
                with suppress(OSError):
                    old.replace(path)
        _remove(*olds, *temporaries)


def make_folder(folder: Path, output: Path) -> None:
    """Make the folder for an output. Raises InputError that names the output if the folder cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(output, error) from error


def check_place(path: Path, size: int = 0) -> None:
    """Raise InputError if a file of `size` bytes cannot be written at a path whose folder may still be missing."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        free = shutil.disk_usage(folder).free
        if free < size:
            raise OSError(errno.ENOSPC, f"it needs {console.size(size)}, but only {console.size(free)} are free")
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path | str, error: OSError) -> InputError:
    reason = error.strerror or str(error) or type(error).__name__
    return InputError(f"{path}: cannot be written ({reason}); free disk space or choose another folder with --workdir")


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the sha256 of a file. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
