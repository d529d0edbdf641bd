"""The image files of a folder, and what is left out of it."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

from PIL import Image

from clusterkit.artifacts.header import WRITERS
from clusterkit.config import Context
from clusterkit.datasets.base import in_files
from clusterkit.datasets.decode import NOT_PICTURES, opened, quiet
from clusterkit.errors import InputError
from clusterkit.reading import Reading

HEIF = {".heic", ".heics", ".heif", ".heifs", ".hif"}
SYSTEM = {
    ".ds_store", "__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".temporaryitems", ".trashes",
    "network trash folder", "temporary items",
    "@eadir", "@tmp", "#recycle", "#snapshot", ".synologyworkingdirectory",
    "@recycle", "@recently-snapshot", ".@__thumb", ".streams",
    "$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini",
    ".thumbnails", ".thumbs", ".trash", "lost+found", "picasa.ini", ".picasa.ini",
}  # fmt: skip
"""Names, in lower case, of files and folders of macOS, Synology, QNAP, Windows and Linux."""
OWN_FILES = {name for name in WRITERS if name.endswith((".h5", ".safetensors"))}
SHOWN = 5
"""The most names in one pair of brackets."""


class Why(StrEnum):
    """The reasons for which something in a folder is left out, in the order of the message, as it counts several."""

    NO_IMAGE = "not images"
    NO_SUFFIX = "without a suffix (--sniff reads the images among them)"
    HIDDEN = "hidden"
    SYSTEM = "of the system"
    OWN = "folders with files of clusterkit"
    READ = "links to folders read under another name"
    SECOND = "second names of a file (--keep-duplicates reads them)"
    LOOSE = "outside the class folders (--flat reads them)"
    BAD = "unreadable"


ONE = {
    Why.NO_IMAGE: "not an image",
    Why.OWN: "folder with files of clusterkit",
    Why.READ: "link to a folder read under another name",
    Why.SECOND: "second name of a file (--keep-duplicates reads it)",
}
"""The reasons as the message counts one, where that differs."""


@dataclass(frozen=True)
class File:
    """An image file, and why it cannot be read, if so.

    `name` is its path from the folder of the set, with `/` between the parts and bytes that are not UTF-8 as
    surrogates; it depends on no locale. `identity` is equal for all names of one file.
    """

    path: Path
    name: str
    identity: object
    bad: str = ""

    @property
    def folder(self) -> str:
        """Return the subfolder of the set that the file is in, or below; empty for none."""
        folder, slash, _ = self.name.partition("/")
        return folder if slash else ""

    @property
    def parts(self) -> list[bytes]:
        return self.name.encode("utf-8", "surrogateescape").split(b"/")


@dataclass
class Found:
    """The image files of a folder, sorted by path, unreadable folders with the reason, and what is left out.

    `is_listed` says that the files were named one by one. `left_out` holds, by reason, one text for everything left
    out; the message shows the texts that are not empty.
    """

    place: Path
    is_listed: bool = False
    files: list[File] = field(default_factory=list)
    closed: dict[Path, str] = field(default_factory=dict)
    left_out: dict[Why, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def title(self) -> str:
        """Return what messages call the files: the folder or, if they were named one by one, their number."""
        return in_files(len(self.files)) if self.is_listed else str(self.place)

    def leave_out_loose(self) -> int:
        """Leave out the files that are in no subfolder; return their number."""
        kept = [file for file in self.files if file.folder]
        count = len(self.files) - len(kept)
        self.left_out[Why.LOOSE] += [""] * count
        self.files = kept
        return count

    def leave_out_second_names(self) -> int:
        """Keep each file under the first of its names only; return how many names are in other subfolders than this."""
        first: dict[object, File] = {}
        elsewhere = 0
        for file in self.files:
            elsewhere += first.setdefault(file.identity, file).folder != file.folder
        self.left_out[Why.SECOND] += [""] * (len(self.files) - len(first))
        self.files = list(first.values())
        return elsewhere

    def summary(self) -> str:
        """Return what is left out, by reason, in one line; empty if nothing is."""
        parts = []
        for why in Why:
            texts = self.left_out.get(why, [])
            shown = sorted({text for text in texts if text})
            more = ", ..." if len(shown) > SHOWN else ""
            names = f" ({', '.join(shown[:SHOWN])}{more})" if shown else ""
            words = ONE.get(why, why) if len(texts) == 1 else why
            parts += [f"{len(texts)} {words}{names}"] if texts else []
        return ", ".join(parts)


@cache
def formats() -> frozenset[str]:
    """Return the formats that are read as images, by Pillow's names."""
    Image.init()
    return frozenset(set(Image.OPEN) - NOT_PICTURES)


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of image files, in lower case."""
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in formats()}
    return frozenset(known | HEIF | {".mpo"})


def find(place: Path, reading: Reading) -> Found:
    """Return the image files below a folder. Links to folders are followed, but no folder is read twice.

    Raises InputError if the folder cannot be listed.
    """
    found = Found(place)
    try:
        os.scandir(place).close()
    except OSError as error:
        raise InputError(f"{place}: cannot be read as a folder ({error.strerror}); name another folder") from error
    seen: set[str] = set()
    waiting = [place]
    while waiting:
        # The folders of a tree come before links to them, so that files keep the names that they have without links.
        waiting.sort(key=os.fsencode, reverse=True)
        folder = waiting.pop()
        if os.path.realpath(folder) in seen:
            found.left_out[Why.READ].append(folder.name)
            continue
        waiting += walk(folder, found, seen, reading)
    found.files.sort(key=lambda file: file.parts)
    return found


def named(place: Path, files: Sequence[Path]) -> Found:
    """Return image files below a folder that were named one by one; their suffixes do not matter."""
    found = Found(place, is_listed=True)
    for path in files:
        name, bad = Path(os.path.relpath(path, place)).as_posix(), ""
        try:
            bad = "" if path.stat().st_size else "an empty file"
        except OSError as error:
            bad = reason_of(path, error)
        found.files.append(File(path, name, os.path.realpath(path), bad))
    return found


def walk(top: Path, found: Found, seen: set[str], reading: Reading) -> list[Path]:
    """Add the image files below a folder to `found`, and the real paths of its folders to `seen`.

    Links to folders are not followed but returned.
    """
    links, folders = [], [top]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            found.closed[folder] = reason_of(folder, error)
            continue
        is_own = folder.name == Context.workdir.name or not OWN_FILES.isdisjoint(entry.name for entry in entries)
        if is_own and folder != found.place:
            found.left_out[Why.OWN].append(folder.name)
            continue
        for entry in visible(entries, found):
            path = folder / entry.name
            if not is_folder(entry):
                target = os.path.realpath(path) if entry.is_symlink() else f"{real}/{entry.name}"
                add_file(path, target, found, reading)
            elif entry.is_symlink():
                links.append(path)
            else:
                folders.append(path)
    return links


def visible(entries: list[os.DirEntry[str]], found: Found) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder that are neither hidden nor made by the operating system."""
    for entry in entries:
        if entry.name.lower() in SYSTEM or entry.name.startswith("._"):
            found.left_out[Why.SYSTEM].append("._*" if entry.name.startswith("._") else entry.name)
        elif entry.name.startswith("."):
            found.left_out[Why.HIDDEN].append("")
        else:
            yield entry


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def add_file(path: Path, real: str, found: Found, reading: Reading) -> None:
    """Add a file to the images, or to what is left out; `real` is its real path."""
    suffix = suffix_of(path)
    if suffix and suffix not in suffixes():
        found.left_out[Why.NO_IMAGE].append(suffix)
        return
    if not suffix and not reading.sniff:
        found.left_out[Why.NO_SUFFIX].append("")
        return
    identity: object = real
    try:
        status = path.stat()
        bad, is_file = "" if status.st_size else "an empty file", stat.S_ISREG(status.st_mode)
        # Some network drives give all files the same number.
        identity = (status.st_dev, status.st_ino) if status.st_nlink > 1 else real
    except OSError as error:
        bad, is_file = reason_of(path, error), True
    if is_file and (suffix or (not bad and is_image(path))):
        name = os.fsencode("/".join(path.parts[len(found.place.parts) :])).decode("utf-8", "surrogateescape")
        found.files.append(File(path, name, identity, bad))
    else:
        found.left_out[Why.NO_IMAGE].append(suffix)


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in lower case; the end of a date or of a sentence is none."""
    suffix = path.suffix.lower()
    return "" if suffix[1:].isdigit() or " " in suffix else suffix


def is_image(path: Path) -> bool:
    """Return whether the content of a file begins like that of an image."""
    with quiet(), suppress(InputError), opened(path):
        return True
    return False


def reason_of(path: Path, error: OSError | InputError) -> str:
    """Return why a file or folder cannot be read, without its path."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    return str(error).removeprefix(f"{path}: ").rpartition("; ")[0]
