"""How much memory this process may take."""

import os
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 2**60
"""Bytes from which a limit is none: version 1 of control groups writes a number near 2^63 where there is none."""


def memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that the machine, the container and `ulimit -v` leave this process, None where none says.

    `proc` and `groups` are where the system shows processes and control groups.
    """
    limits = [of_machine(), of_process(), *of_groups(proc, groups)]
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED), default=None)


def of_machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def of_process() -> int | None:
    """Return the limit of the address space."""
    try:
        import resource
    except ImportError:  # no Unix
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def of_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the limits of the control groups of this process, versions 1 and 2, each with all that it lies in.

    In a container the groups above its own are hidden: what is not there limits nothing.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            names, roots = "memory.max", [groups, groups / "unified"]
        elif "memory" in controllers.split(","):
            names, roots = "memory.limit_in_bytes", [groups / "memory"]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for root in roots:
            for depth in range(len(parts) + 1):
                limit = number_in(root.joinpath(*parts[:depth], names))
                if limit is not None:
                    yield limit


def number_in(file: Path) -> int | None:
    """Return the number that a file holds, None where there is no file or no number, as in "max"."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
