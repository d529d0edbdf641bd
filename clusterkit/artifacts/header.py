"""The header that every artifact carries: where it comes from, and a digest of all it says."""

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
from clusterkit.artifacts.own_data import found, stored
from clusterkit.errors import InputError, MissingFileError
from clusterkit.settings import File, NoisyPairs, TruePairs

KEY = "clusterkit"
VERSION = 2
"""Raised by every change that a reader of the version before would misread; docs/artifacts.md says what changed."""


@dataclass(frozen=True)
class Header:
    """What is known of an artifact. `extra` holds what only its own format needs, a network's architecture say."""

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
        """Return the canonical JSON for a file in a folder, with the digest over it and `digests` of the values."""
        return canonical(self.fields(digests, folder))

    def fields(self, digests: Mapping[str, str], folder: Path) -> dict[str, Any]:
        """Return what `to_json` writes, for a file that is itself JSON."""
        fields = stored(asdict(self), folder) if self.version >= 2 else asdict(self)
        return {**fields, "digest": seal(fields, digests)}

    def found_in(self, folder: Path) -> "Header":
        """Return the header of a file in a folder with a user's own data named as they can be typed here."""
        # Version 1 names them as they were typed, wherever that was.
        return Header(**found(vars(self), folder)) if self.version >= 2 else self


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def seal(fields: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """Return the sha256 over a header without its digest and over the digests of the values, by name."""
    content = {**fields, "digest": ""}
    return hashlib.sha256(canonical([content, dict(digests)]).encode()).hexdigest()


def resolved(config: object) -> dict[str, Any]:
    """Return a stage's configuration as plain JSON values; of a file only its name is kept."""
    assert is_dataclass(config)
    assert not isinstance(config, type)
    return {one.name: _plain(getattr(config, one.name), one.name in FILES) for one in fields(config)}


FILES = ("assignments", "g", "model", "pairs")
"""Settings whose text names a file."""


def _plain(value: Any, is_file: bool) -> Any:
    match value:
        case str() if is_file:
            return Path(value).name
        case Path() | File():
            return Path(str(value)).name
        case str() | TruePairs() | NoisyPairs():
            return str(value)
        case tuple():
            return list(value)
        case _:
            return resolved(value) if is_dataclass(value) else value


def parse_header(text: Any, format: str, path: Path) -> Header:
    """Turn a header's JSON into a Header of the format asked for: `g`, one of `ccn|adapted`, or `any`; as it is stored.

    Raises InputError for one that is foreign, of another format, newer than this program, or damaged.
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
        wanted = format.replace("|", " or ")
        raise InputError(f"{path}: holds {kind}, not {wanted}; {remedy('make one with', path, format)}")
    return header


def check_digest(header: Header, digests: Mapping[str, str], path: Path) -> None:
    """Raise InputError unless header and values are the ones that were written."""
    try:
        expected = seal(asdict(header), digests)
    except ValueError as error:
        raise damaged(path, header.format) from error
    if header.digest != expected:
        raise damaged(path, header.format)


@contextmanager
def reading(path: Path, format: str) -> Iterator[BinaryIO]:
    """Open a file to read. Raises InputError where it is missing, empty, a folder or unreadable."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: empty; {remedy('make it again with', path, format)}")
            file.seek(0)
            yield file
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; {remedy('make it with', path, format)}") from error
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
    "pairs.h5": ("pairs", "clusterkit predict-pairs DATASET"),
    "assignments.h5": ("assignments", "clusterkit cluster DATASET"),
    "ccn.safetensors": ("ccn", "clusterkit cluster DATASET"),
    "assigned.h5": ("assignments", "clusterkit assign DATASET"),
    "adapted.h5": ("assignments", "clusterkit adapt SOURCE TARGET"),
    "adapted.safetensors": ("adapted", "clusterkit adapt SOURCE TARGET"),
    "k.json": ("k", "clusterkit estimate-k"),
    "evaluation.json": ("evaluation", "clusterkit evaluate"),
    "state": ("state", "the command that was interrupted, without --resume"),
}
"""The format of each file and the command that writes it, the usual file of a format first."""
SNAPSHOT = re.compile(r"adapted-\d+\.safetensors")


def remedy(how: str, path: Path, format: str) -> str:
    """Return how to come by a file: by the command that writes that name, or else one that writes its format."""
    formats = format.split("|")
    if SNAPSHOT.fullmatch(path.name) and ("adapted" in formats or format == "any"):
        return f"{how}: clusterkit adapt SOURCE TARGET --snapshots"
    written, command = WRITERS.get(path.name, ("", ""))
    if format != "any" and written not in formats:
        command = next(command for written, command in WRITERS.values() if written == formats[0])
    return f"{how}: {command}" if command else "name another file, or repeat the command that wrote it"
