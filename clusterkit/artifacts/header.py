"""The header of every artifact: its origin, and a digest of the header and all values."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from clusterkit import __version__
from clusterkit.artifacts.form import HEADER, STATE, fits
from clusterkit.artifacts.own_data import found, stored
from clusterkit.errors import InputError, MissingFileError
from clusterkit.settings import File, Fixed, NoisyPairs, OnlyConstraints, TruePairs

KEY = "clusterkit"
VERSION = 2
"""Increase it with every change that older versions would misread; docs/artifacts.md lists the changes."""


@dataclass(frozen=True)
class Header:
    """The origin of an artifact. `extra` has the fields of its format, for example a network's architecture."""

    format: str
    stage: str
    config: dict[str, Any]
    seed: int
    device: str
    dataset: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: {"clusterkit": __version__, "torch": torch.__version__})
    version: int = VERSION
    digest: str = ""

    def to_json(self, digests: Mapping[str, str], folder: Path) -> str:
        """Return canonical JSON for a file in a folder, with a digest of the header and of the values' `digests`."""
        return canonical(self.fields(digests, folder))

    def fields(self, digests: Mapping[str, str], folder: Path) -> dict[str, Any]:
        """Return the fields that `to_json` writes."""
        fields = stored(asdict(self), folder) if self.version >= 2 else asdict(self)
        return {**fields, "digest": seal(fields, digests)}

    def found_in(self, folder: Path) -> "Header":
        """Return the header of a file in a folder, with the user's own data named as they can be typed here."""
        # Version 1 records the paths as they were typed.
        return Header(**found(vars(self), folder)) if self.version >= 2 else self


def canonical(value: Any) -> str:
    """Return the JSON text of a value with sorted keys and no spaces. Raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def seal(fields: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Return the sha256 of a header without its digest and of the values' digests by name."""
    content = {**fields, "digest": ""}
    return hashlib.sha256(canonical([content, dict(digests)]).encode()).hexdigest()


def resolved(config: object) -> dict[str, Any]:
    """Return a stage's configuration as plain JSON values; files are recorded by name, without their folder."""
    assert is_dataclass(config)
    assert not isinstance(config, type)
    return {entry.name: _plain(getattr(config, entry.name), entry.name in FILES) for entry in fields(config)}


FILES = ("assignments", "critic", "g", "model", "pairs")
"""Settings that name a file as plain text."""


def _plain(value: Any, is_file: bool) -> Any:
    match value:
        case str() if is_file:
            return Path(value).name
        case Path() | File():
            return Path(str(value)).name
        case str() | Fixed() | TruePairs() | NoisyPairs() | OnlyConstraints():
            return str(value)
        case tuple():
            return [_plain(entry, False) for entry in value]
        case _:
            return resolved(value) if is_dataclass(value) else value


def parse_header(text: Any, format: str, path: Path) -> Header:
    """Turn a header's JSON into a Header; `format` is `g`, several as in `ccn|adapted`, or `any`.

    Raises InputError for a header that is foreign, of another format, newer than this program, or damaged.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise foreign(path, format)
    try:
        fields = json.loads(text)
        kind, version = str(fields["format"]), fields["version"]
        if isinstance(version, int) and version > VERSION:
            raise InputError(f"{path}: written by a newer clusterkit (format {version}); upgrade clusterkit")
        if type(version) is not int or version < 1:
            raise ValueError(f"version {version}")
        header = Header(**fields)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path, format) from error
    if format != "any" and kind not in format.split("|"):
        formats = format.replace("|", " or ")
        raise InputError(f"{path}: holds {kind}, not {formats}; {remedy('make one with', path, format)}")
    if not fits(fields, STATE if kind == "state" else HEADER):
        raise InputError(
            f"{path}: its header has members of other types than clusterkit writes; "
            f"{remedy('make it again with', path, format)}"
        )
    return header


def check_digest(header: Header, digests: Mapping[str, str], path: Path) -> None:
    """Raise InputError unless header and values are as they were written."""
    try:
        expected = seal(asdict(header), digests)
    except ValueError as error:
        raise damaged(path, header.format) from error
    if header.digest != expected:
        raise damaged(path, header.format)


@contextmanager
def reading(path: Path, format: str) -> Iterator[BinaryIO]:
    """Open a file for reading. Raises InputError if it is missing, empty, a folder or unreadable."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: empty; {remedy('make it again with', path, format)}")
            file.seek(0)
            yield file
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; {remedy_of_absence(path, format)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name another file") from error


def foreign(path: Path, format: str) -> InputError:
    kind = "" if format == "any" else f" {format.replace('|', ' or ')}"
    return InputError(f"{path}: not a clusterkit{kind} file; {remedy('make one with', path, format)}")


def damaged(path: Path, format: str) -> InputError:
    return InputError(
        f"{path}: damaged (truncated, or bytes were changed); {remedy('make it again with', path, format)}"
    )


WRITERS = {
    "g.safetensors": ("g", "clusterkit train-g DATASET"),
    "self-trained.safetensors": ("g", "clusterkit self-train DATASET"),
    "pretrained.safetensors": ("pretrained", "clusterkit pretrain DATASET"),
    "features.h5": ("features", "clusterkit embed DATASET"),
    "pairs.h5": ("pairs", "clusterkit predict-pairs DATASET"),
    "assignments.h5": ("assignments", "clusterkit cluster DATASET"),
    "ccn.safetensors": ("ccn", "clusterkit cluster DATASET"),
    "assigned.h5": ("assignments", "clusterkit assign DATASET"),
    "adapted.h5": ("assignments", "clusterkit adapt SOURCE TARGET"),
    "adapted.safetensors": ("adapted", "clusterkit adapt SOURCE TARGET"),
    "critic.safetensors": ("critic", "clusterkit train-critic DATASET"),
    "k.json": ("k", "clusterkit estimate-k"),
    "evaluation.json": ("evaluation", "clusterkit evaluate"),
    "state": ("state", "the command that was interrupted, without --resume"),
}
"""The format of each file and the command that writes it; the usual file of a format comes first."""
SNAPSHOT = re.compile(r"adapted-\d+\.safetensors")


def remedy_of_absence(path: Path, format: str) -> str:
    """Return the command that writes a missing file; no command writes one of a name that is not usual."""
    written = "adapted" if SNAPSHOT.fullmatch(path.name) else WRITERS.get(path.name, ("", ""))[0]
    if written in format.split("|") or (written and format == "any"):
        return remedy("make it with", path, format)
    other = "repeat the command that wrote it" if format == "any" else remedy("make one with", path, format)
    return f"name an existing file, or {other}"


def remedy(how: str, path: Path, format: str) -> str:
    """Return the command that writes a file of this name or, for other names, a file of this format."""
    formats = format.split("|")
    if SNAPSHOT.fullmatch(path.name) and ("adapted" in formats or format == "any"):
        return f"{how}: clusterkit adapt SOURCE TARGET --snapshots"
    written, command = WRITERS.get(path.name, ("", ""))
    if format != "any" and written not in formats:
        command = next(command for written, command in WRITERS.values() if written == formats[0])
    return f"{how}: {command}" if command else "name another file, or repeat the command that wrote it"
