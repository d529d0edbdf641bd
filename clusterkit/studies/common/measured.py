"""Measurement of the time and memory of a clustering, which runs in a new process."""

import json
import logging
import multiprocessing
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from clusterkit import console
from clusterkit.config import ClusterConfig, Context
from clusterkit.errors import ClusterkitError
from clusterkit.methods import with_options
from clusterkit.studies.common import runs

COST = "cost.json"


@dataclass(frozen=True)
class Cost:
    """The seconds of a stage, without the start of its process, and the peak memory of that process in bytes."""

    seconds: float
    peak_bytes: int


def cluster(config: ClusterConfig, context: Context, *, apart: bool = True) -> Cost:
    """Cluster unless `--resume` keeps an earlier run; write `cost.json` beside the assignments; return the cost.

    With `apart` this is in a new process, without which the memory is that of this process. Raises the errors of the
    stage.
    """
    from clusterkit.stages import cluster as stage

    path, config = context.path(stage.OUTPUT), with_options(config)
    cost = read_cost(path)
    if cost is None or not runs.keeps(path, config, context, **stage.files_read(config, context)):
        runs.announce(runs.command_line("cluster", config), context)
        quiet = not console.log.isEnabledFor(logging.INFO)
        # A continued training would only measure its last part.
        context = replace(context, resume=False)
        cost = in_new_process(logged, config, context, quiet) if apart else timed(config, context)
        write_cost(cost, path)
    return cost


def run_stage(config: object, context: Context) -> tuple[Path, float]:
    """Run a stage, or keep its file with `--resume`; return the file and the seconds that it took to make."""
    start = time.perf_counter()
    path = runs.run_stage(config, context)
    cost = read_cost(path) if context.resume else None
    if cost is None:
        cost = Cost(round(time.perf_counter() - start, 3), peak_bytes())
        write_cost(cost, path)
    return path, cost.seconds


def seconds_of(run: Callable[[], object], path: Path, context: Context) -> float | None:
    """Call `run`, which makes, continues or keeps the file at `path`; return the seconds that the file took to make.

    They are None if the file was kept and its cost is not known, or if another process did a part of its training.
    """
    before = path.stat().st_mtime_ns if path.exists() else None
    is_continued = context.resume and path.with_name(f".{path.name}.state").exists()
    start = time.perf_counter()
    run()
    seconds = round(time.perf_counter() - start, 3)
    if path.stat().st_mtime_ns == before:
        cost = read_cost(path)
        return None if cost is None else cost.seconds
    if is_continued:
        path.with_name(COST).unlink(missing_ok=True)
        return None
    write_cost(Cost(seconds, peak_bytes()), path)
    return seconds


def logged(config: ClusterConfig, context: Context, quiet: bool) -> Cost:
    """Cluster in a new process, whose messages go to stderr; return the cost."""
    console.set_up(quiet)
    return timed(config, context)


def timed(config: ClusterConfig, context: Context) -> Cost:
    """Cluster in this process; return the cost."""
    from clusterkit.stages import cluster as stage

    start = time.perf_counter()
    stage.run(config, context)
    return Cost(round(time.perf_counter() - start, 3), peak_bytes())


def peak_bytes() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if peak:
        # On Linux, `ru_maxrss` is at least the peak memory of the parent process.
        return int(peak[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_new_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a new process, which ends with this call; return its result.

    Raises the error of the function, or ClusterkitError if the process ended without a result.
    """
    processes = multiprocessing.get_context("spawn")
    answers, answer = processes.Pipe(duplex=False)
    process = processes.Process(target=send_result, args=(answer, work, arguments))
    process.start()
    answer.close()
    try:
        succeeded, result_or_error = answers.recv()
        process.join()
    except EOFError:
        process.join()
        raise ClusterkitError(
            f"the process of a clustering ended with code {process.exitcode}; if it was out of memory, name other "
            "methods with --method or smaller sets"
        ) from None
    finally:
        process.terminate()
        process.join()
    if not succeeded:
        raise result_or_error
    return result_or_error


def send_result(answer: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Send the result or the error of a function."""
    try:
        answer.send((True, work(*arguments)))
    except KeyboardInterrupt:
        # The parent process is interrupted too, and reports it.
        sys.exit(130)
    except Exception as error:
        answer.send((False, error))


def read_cost(assignments: Path) -> Cost | None:
    """Return the recorded cost of the clustering in a file, None if there is none for this content."""
    from clusterkit.artifacts.files import sha256

    try:
        fields = json.loads(assignments.with_name(COST).read_text(encoding="utf-8"))
        cost = Cost(float(fields["seconds"]), int(fields["peak_bytes"]))
        is_current = assignments.exists() and fields["assignments"] == sha256(assignments)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return cost if is_current else None


def write_cost(cost: Cost, assignments: Path) -> None:
    from clusterkit.artifacts.files import sha256, write_text

    content = {"assignments": sha256(assignments), **asdict(cost)}
    write_text(assignments.with_name(COST), json.dumps(content, sort_keys=True, indent=1) + "\n")
