"""Whether artifacts in one work folder were made from each other."""

import hashlib
from pathlib import Path

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, canonical, maker
from clusterkit.errors import InputError


def made_from(header: Header, name: str, path: Path) -> bool:
    """Return whether the file at `path`, where there is one, is the input `name` that a header records."""
    recorded = header.inputs.get(name)
    return recorded is None or not path.exists() or sha256(path) == recorded


def check_made_from(header: Header, made: Path, name: str, path: Path) -> None:
    """Raise InputError where `made` came from another file than the one that lies at `path` now."""
    if not made_from(header, name, path):
        raise InputError(f"{made}: was made from another {path.name} than {path}; run: {maker(header.format)}")


def check_dataset(header: Header, path: Path, name: str, fingerprint: str) -> None:
    """Raise InputError where an artifact was made from other data than the set that was read."""
    if header.dataset.get("fingerprint") != fingerprint:
        raise InputError(
            f"{path}: was made from {header.dataset.get('name')} with other content than {name} has now; "
            f"run: {maker(header.format)}"
        )


def run_key(*parts: object) -> str:
    """Return one hash of all that a run depends on."""
    return hashlib.sha256(canonical(list(parts)).encode()).hexdigest()
