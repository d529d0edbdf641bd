"""Earlier assignments that a run replaces, so that a clustering with other settings is not overwritten in silence."""

import shlex
from pathlib import Path

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.flags import settings_of, typed_settings, words_of
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.own_data import settled
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
    old, new = settings_of(earlier), settings_of(now)
    # Without a name, the data set is that of the inputs.
    names = [
        name
        for name in old
        if name in new and settled(old[name]) != settled(new[name]) and (name, new[name]) != ("dataset", None)
    ]
    if earlier.stage == now.stage and not names:
        return
    command = shlex.join(["clusterkit", earlier.stage, *words_of(typed_settings(earlier), names)])
    console.log.info(
        "%s of another run (%s) will be replaced; to keep it, copy it first or set --workdir", path, command
    )
