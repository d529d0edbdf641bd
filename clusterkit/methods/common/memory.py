"""Memory that this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = 2**60
"""Bytes from which a limit counts as none: version 1 of control groups writes a number near 2^63 for no limit."""


def memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that the machine, its container and `ulimit -v` allow this process; None if none sets a limit.

    `proc` and `groups` are the folders where the system lists processes and control groups.
    """
    limits = [of_machine(), of_process(proc), *of_groups(proc, groups)]
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED), default=None)


def of_machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def of_process(proc: Path) -> int | None:
    """Return how much of the limit of the address space is left. The libraries alone take some 4 GiB of it."""
    try:
        import resource
    except ImportError:  # not on Unix
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    pages = number_in(proc / "self" / "statm")
    return limit if pages is None else max(0, limit - pages * resource.getpagesize())


def of_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups, versions 1 and 2, and of all groups that contain them.

    In a container the groups above its own are hidden, and a hidden group sets no limit.
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
    """Return the first number in a file, or None if there is no file or no number, as for "max"."""
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
