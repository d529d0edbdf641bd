"""Folders of clusters: the pictures of each cluster are copied, linked or moved into a folder of their own."""

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clusterkit.console import printable, size
from clusterkit.errors import InputError, UsageError
from clusterkit.settings import Placing

UNDO = "undo.sh"
"""The script in the new folder that moves all pictures back. It is written before the first picture is moved."""
SCRIPT = """\
#!/bin/sh
# Moves every picture back to where it was: sh undo.sh
CDPATH= cd "$(dirname "$0")" || exit 1
failed=0
back() {
    if [ ! -e "$1" ]; then
        [ -e "$2" ] && return
        printf '%s: missing, not moved back\\n' "$1" >&2
    elif [ -e "$2" ] || [ -L "$2" ]; then
        printf '%s: exists, not moved back\\n' "$2" >&2
    else
        mv -n -- "$1" "$2" && return
    fi
    failed=1
}"""
"""The beginning of the script: `back NEW OLD` moves one picture back, unless a file has its place or it is back."""
PART = ".part"
"""The name of a picture's copy, in its new folder, until it is whole."""
NAMED = 3
"""Files that a message names."""


@dataclass(frozen=True)
class Picture:
    """A picture to place: its `id` in the data set, its file, and the names of its folders, as ("Angelic", "003")."""

    id: int
    file: Path
    folders: tuple[str, ...]


def place(pictures: Sequence[Picture], folder: Path, by: Placing, home: Path | None = None) -> Path | None:
    """Put the pictures into folders below `folder`, which must be missing or empty; return the undo script of a move.

    `home` is the folder of the data set, if it has one. A failure, also an interruption, takes back everything. Raises
    UsageError for a folder that holds something or lies among the pictures, and InputError for a picture that cannot be
    placed.
    """
    check(pictures, folder, by, home)
    targets = targets_of(pictures, folder)
    undo = folder / UNDO if by is Placing.MOVE else None
    failed: list[Path] = []
    try:
        with ExitStack() as steps:
            for made in new_folders(folder, targets):
                steps.callback(_take_back, Path.rmdir, made, failed)
                made.mkdir()
            if undo is not None:
                steps.callback(_take_back, Path.unlink, undo, failed)
                undo.write_text(script(pictures, targets, folder), encoding="utf-8", errors="surrogateescape")
            for picture, target in zip(pictures, targets, strict=True):
                back = partial(_move_back, file=picture.file) if undo else Path.unlink
                # An interruption may come after the last moment of a copy, so its way back is kept before it starts.
                steps.callback(_take_back, back, target, failed)
                PLACE[by](picture.file, target)
            steps.pop_all()
    except OSError as error:
        rest = f"{len(failed)} places could not be restored, such as {failed[0]}" if failed else "nothing was changed"
        raise InputError(
            f"--folders {folder}: {printable(str(error.filename or folder))}: {error.strerror or error}; {rest}; "
            "make room, or name another folder"
        ) from error
    return undo


def check(pictures: Sequence[Picture], folder: Path, by: Placing, home: Path | None) -> None:
    """Raise UsageError or InputError for anything that would stop the placing, before it starts."""
    if not pictures:
        raise UsageError(
            f"--folders {folder}: no item of this set is an image file, so none can be placed; leave it out"
        )
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(
            f"--folders {folder}: exists and is not an empty folder; name a new one, nothing is overwritten"
        )
    real = folder.resolve()
    homes = {picture.file.resolve().parent for picture in pictures} | ({home.resolve()} if home is not None else set())
    if homes & {real, *real.parents}:
        raise UsageError(
            f"--folders {folder}: lies among the pictures, where later commands would read them twice; "
            "name a folder elsewhere"
        )
    refuse([picture.file for picture in pictures if not picture.file.is_file()], "no such file; was it moved?")
    if by is Placing.MOVE:
        refuse([picture.file for picture in pictures if picture.file.is_symlink()], "is a link; use --by copy or link")
        counts = Counter(picture.file for picture in pictures)
        refuse([file for file, count in counts.items() if count > 1], "belongs to two items; use --by copy or link")
    if by is Placing.COPY:
        needed = sum(picture.file.stat().st_size for picture in pictures)
        free = shutil.disk_usage(next(parent for parent in real.parents if parent.exists())).free
        if needed > free:
            raise InputError(
                f"--folders {folder}: the copies take {size(needed)}, but only {size(free)} are free; "
                "use --by link, or name a folder on another disk"
            )


def refuse(files: Sequence[Path], reason: str) -> None:
    """Raise InputError that names the first of these files and counts the others, if there are any."""
    if files:
        names = ", ".join(printable(str(file)) for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        raise InputError(f"{names}{more}: {reason}")


def targets_of(pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """Return the new path of each picture: its file name, with the id before the suffix if the name is taken."""
    used: set[Path] = set()
    targets = []
    for picture in pictures:
        home = folder.joinpath(*(safe(name) for name in picture.folders))
        target = home / picture.file.name
        # Some disks do not distinguish capitals.
        while Path(str(target).casefold()) in used:
            target = home / f"{target.stem}-{picture.id}{target.suffix}"
        used.add(Path(str(target).casefold()))
        targets.append(target)
    return targets


def safe(name: str) -> str:
    """Return a name as one folder's name, which neither leads elsewhere nor is hidden."""
    name = name.replace("/", "_").replace(os.sep, "_").replace("\0", "_")
    return f"_{name[1:]}" if name.startswith(".") else name or "_"


def distinct(names: Sequence[str]) -> list[str]:
    """Return the folder of each name, of which no two are equal, also on disks that do not distinguish capitals."""
    folders: dict[str, str] = {}
    for name in names:
        folder, number = safe(name), 2
        while folder.casefold() in folders:
            folder, number = f"{safe(name)}-{number}", number + 1
        folders[folder.casefold()] = folder
    return list(folders.values())


def new_folders(folder: Path, targets: Sequence[Path]) -> list[Path]:
    """Return the folders to make, parents first."""
    return sorted({parent for target in targets for parent in target.parents if not parent.exists()})


def script(pictures: Sequence[Picture], targets: Sequence[Path], folder: Path) -> str:
    """Return a shell script that moves the pictures back; its paths are relative to the folder, where it changes to."""
    lines = [SCRIPT]
    for picture, target in zip(pictures, targets, strict=True):
        here = shlex.quote(f"./{target.relative_to(folder)}")
        home = shlex.quote(os.path.relpath(picture.file.resolve(), folder.resolve()))
        lines.append(f"back {here} {home}")
    return "\n".join([*lines, "exit $failed"]) + "\n"


def _take_back(back: Callable[[Path], object], path: Path, failed: list[Path]) -> None:
    try:
        back(path)
    except FileNotFoundError:
        pass  # the step was not taken
    except OSError:
        failed.append(path)


def _move_back(target: Path, file: Path) -> None:
    # A move to another disk that was interrupted leaves the file in place and its copy.
    if file.exists():
        target.unlink()
    else:
        shutil.move(target, file)


def _copy(file: Path, target: Path) -> None:
    """Copy a file. No part of it ever has the name of the whole, also if the process is killed."""
    part = target.with_name(PART)
    try:
        shutil.copy2(file, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _move(file: Path, target: Path) -> None:
    try:
        file.rename(target)
    except OSError:  # it has no single number for a move to another disk
        _copy(file, target)
        file.unlink()


def _link(file: Path, target: Path) -> None:
    target.symlink_to(os.path.relpath(file.absolute(), target.parent.resolve()))


PLACE: dict[Placing, Callable[[Path, Path], object]] = {
    Placing.COPY: _copy,
    Placing.LINK: _link,
    Placing.MOVE: _move,
}
