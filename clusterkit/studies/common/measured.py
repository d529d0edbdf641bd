"""A clustering in a process of its own, so that what it costs can be measured, and what it cost beside it."""

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
    """Seconds of a stage, without the start of its process, and the most main memory of that process in bytes."""

    seconds: float
    peak_bytes: int


def cluster(config: ClusterConfig, context: Context) -> Cost:
    """Write `assignments.h5` of a work folder and `cost.json` beside it, unless both can be kept; return the cost.

    Raises what the stage raises.
    """
    from clusterkit.stages import cluster as stage

    path, config = context.path(stage.OUTPUT), with_options(config)
    cost = read_cost(path)
    if cost is None or not runs.kept(path, config, context, **stage.files_read(config, context)):
        runs.announce(runs.command_line("cluster", config), context)
        quiet = not console.log.isEnabledFor(logging.INFO)
        # A training that went on from where it stopped would cost only the rest.
        cost = apart(clustered, config, replace(context, resume=False), quiet)
        write_cost(cost, path)
    return cost


def clustered(config: ClusterConfig, context: Context, quiet: bool) -> Cost:
    """Run the stage in this process, which does nothing else."""
    from clusterkit.stages import cluster as stage

    console.set_up(quiet)
    start = time.perf_counter()
    stage.run(config, context)
    return Cost(round(time.perf_counter() - start, 3), peak_bytes())


def peak_bytes() -> int:
    """Return the most main memory that this process has held."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if peak:
        # On Linux the other one is never below what the process that started this one held.
        return int(peak[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns in a new process, which ends with this call, whatever happens.

    Raises what the function raises, and ClusterkitError where the process ended without an answer.
    """
    processes = multiprocessing.get_context("spawn")
    answers, answer = processes.Pipe(duplex=False)
    process = processes.Process(target=answered, args=(answer, work, arguments))
    process.start()
    answer.close()
    try:
        done, answer_or_error = answers.recv()
        process.join()
    except EOFError:
        process.join()
        raise ClusterkitError(
            f"a process ended with code {process.exitcode} before it was done; where it was killed for its memory, "
            "leave the method out with --method or take smaller sets"
        ) from None
    finally:
        process.terminate()
        process.join()
    if not done:
        raise answer_or_error
    return answer_or_error


def answered(answer: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Send what a function returns or raises."""
    try:
        answer.send((True, work(*arguments)))
    except KeyboardInterrupt:
        # The process that waits for this one is interrupted too, and says so.
        sys.exit(130)
    except Exception as error:
        answer.send((False, error))


def read_cost(assignments: Path) -> Cost | None:
    """Return what the clustering of a file cost, or None where that is not known."""
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
