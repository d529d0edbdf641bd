"""Processes forked by a parent that has loaded the package once: real ones, which start in no time."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

from clusterkit.__main__ import run

PARENT = multiprocessing.get_context("forkserver")
PARENT.set_forkserver_preload(["clusterkit.cli", "clusterkit.stages.train_g", "tests.two_processes"])
SECONDS = 200

Job = tuple[Path, dict[str, str], Callable[..., object], tuple[object, ...]]
"""A folder to work in, what the environment has beside that of the tests, and a function with its arguments."""


def program(line: str) -> None:
    """Be the program, called with a line."""
    sys.argv = ["clusterkit", *line.split()]
    run()


def finish_forked(*jobs: Job) -> list[tuple[int | None, str, str]]:
    """Do jobs, each in a process; return the exit code, stdout and stderr of each. One that takes too long has no code.

    What they print is beside the folder of the first, as a full pipe would stop them.
    """
    beside = [jobs[0][0].with_name(f"{jobs[0][0].name}-printed-{number}") for number in range(2 * len(jobs))]
    streams = [(beside[2 * number], beside[2 * number + 1]) for number in range(len(jobs))]
    processes = [
        PARENT.Process(target=_do, args=(job, {**os.environ, **job[1]}, files))
        for job, files in zip(jobs, streams, strict=True)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(SECONDS)
        return [
            (process.exitcode, out.read_text(), err.read_text())
            for process, (out, err) in zip(processes, streams, strict=True)
        ]
    finally:
        for process in processes:
            process.kill()


def _do(job: Job, environment: dict[str, str], files: tuple[Path, Path]) -> None:
    folder, _, function, arguments = job
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    # The parent's own streams may know a place in the files that they were.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.exit(function(*arguments))
