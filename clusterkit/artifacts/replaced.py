"""Earlier assignments that a run replaces, so that a clustering with other settings is not overwritten in silence."""

import shlex
from pathlib import Path

from clusterkit import console
from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.flags import settings_of, typed_settings, unusual, words_of
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.own_data import settled
from clusterkit.errors import InputError
from clusterkit.settings import Init

Earlier = tuple[Header, dict[str, Assignment]]


def earlier_assignments(path: Path) -> Earlier | None:
    """Return the assignments at a path; None if the file is missing or unreadable, so that nothing would be lost."""
    try:
        return read_assignments(path)
    except InputError:
        return None


def is_told(name: str, earlier: Header, now: Header) -> bool:
    """Return whether the command of an earlier run has the flag of a setting in which it differs from this run.

    Defaults of another method are left out, and so is a backbone that came from the file of `--init`.
    """
    options = earlier.config.get("options")
    if not isinstance(options, dict) or name not in options:
        return True
    if name == "backbone" and options.get("init") not in (None, Init.RANDOM):
        return False
    return earlier.config.get("method") == now.config.get("method") or name in unusual(earlier)


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
    names = [name for name in names if is_told(name, earlier, now)]
    command = shlex.join(["clusterkit", earlier.stage, *words_of(typed_settings(earlier), names)])
    console.log.info(
        "%s of another run (%s) will be replaced; to keep it, copy it first or set --workdir", path, command
    )
