"""Earlier assignments that a run replaces, so that a clustering with other settings is not overwritten in silence."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.header import Header
from clusterkit.errors import InputError

Earlier = tuple[Header, dict[str, Assignment]]


def earlier_assignments(path: Path) -> Earlier | None:
    """Return the assignments at a path; None if the file is missing or unreadable, so that nothing would be lost."""
    try:
        return read_assignments(path)
    except InputError:
        return None


def announce(path: Path, earlier: Header, now: Header) -> None:
    """Log that a clustering will replace assignments at a path which another command, or other settings, made."""
    old, new = _settings(earlier), _settings(now)
    names = [name for name in old if name in new and old[name] != new[name]]
    if earlier.stage == now.stage and not names:
        return
    words = [word for name in names if old[name] is not None for word in _words(name, old[name])]
    command = shlex.join(["clusterkit", earlier.stage, *words])
    console.log.info(
        "%s of another run (%s) will be replaced; to keep it, copy it first or set --workdir", path, command
    )


def _settings(header: Header) -> Mapping[str, Any]:
    """Return the settings of a clustering by name, with those of its method beside the others."""
    options = header.config.get("options")
    named = {name: value for name, value in header.config.items() if name != "options"}
    return {**named, **(options if isinstance(options, dict) else {}), "seed": header.seed}


def _words(name: str, value: Any) -> list[str]:
    return [str(value)] if name == "dataset" else [f"--{name.replace('_', '-')}", str(value)]
