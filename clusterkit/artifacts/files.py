"""Whole-file writes and hashes: a reader sees the old file or the new one, never half of one."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clusterkit.errors import InputError


@contextmanager
def atomic(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary sibling to write; on success it takes the place of `path`, otherwise it is removed.

    `durable` also survives a power failure. Raises InputError where the folder cannot be written.
    """
    with together(path, durable=durable) as [temporary]:
        yield temporary


@contextmanager
def together(*paths: Path, durable: bool = True) -> Iterator[list[Path]]:
    """Give a temporary sibling of each path to write; on success they take the places of all paths, otherwise of none.

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
    """Rename each temporary to its path; where one cannot be, put back what was at the paths before."""
    olds = [_sibling(path, "old") for path in paths[:-1]]
    path = paths[0]
    try:
        for path, old in zip(paths, olds, strict=False):
            _keep(path, old)
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
    except BaseException as error:
        # A temporary that is gone has taken its place. Once the last one has, all have.
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
    """Give the file at a path, where there is one, a second name, or on a disk that knows none copy it."""
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


def _sibling(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")


def make_folder(folder: Path, output: Path) -> None:
    """Make a folder for the sake of an output in it. Raises InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(output, error) from error


def unwritable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error) or type(error).__name__
    return InputError(f"{path}: cannot be written ({reason}); make room or choose another folder with --workdir")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the sha256 of a file. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
