"""The flags that mean the same in every command."""

import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.config import Context, Precision
from clusterkit.errors import UsageError

COMMON = "Common"
"""The panel of the flags that every command has."""
Workdir = Annotated[
    Path,
    typer.Option("--workdir", envvar="CLUSTERKIT_WORKDIR", help="Folder of all artifacts.", rich_help_panel=COMMON),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="CLUSTERKIT_DATA",
        help="Root of the data sets.",
        show_default="~/.cache/clusterkit",
        rich_help_panel=COMMON,
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", envvar="CLUSTERKIT_OFFLINE", help="Never touch the network.", rich_help_panel=COMMON),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=COMMON)]
Seed = Annotated[int, typer.Option("--seed", min=0, help="All randomness follows from it.", rich_help_panel=COMMON)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.", rich_help_panel=COMMON)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only warnings and errors on stderr.", rich_help_panel=COMMON)]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback on failure.", rich_help_panel=COMMON)]
Precise = Annotated[
    Precision, typer.Option("--precision", help="Of the training: fp32, or faster tf32 (on CUDA) or bf16.")
]
DropEvery = Annotated[
    int | None,
    typer.Option(
        "--drop-every",
        min=1,
        help="Epochs after which the rate is divided by ten.",
        show_default="the rate follows a cosine",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run of this command stopped.")]


@dataclass(frozen=True)
class Common:
    """What the common flags of one call say."""

    context: Context
    as_json: bool


FLAGS: dict[str, tuple[Any, Any]] = {
    "workdir": (Workdir, Context.workdir),
    "data": (Data, None),
    "offline": (Offline, Context.offline),
    "device": (Device, Context.device),
    "seed": (Seed, Context.seed),
    "as_json": (Json, False),
    "quiet": (Quiet, False),
    "debug": (Debug, False),
}


def name_a_command(context: typer.Context) -> None:
    """Show the help on stderr and raise UsageError where a group of commands is called without one."""
    if context.invoked_subcommand is None:
        with contextlib.redirect_stdout(sys.stderr):
            # In panels it is printed, not returned.
            print(context.get_help(), end="")
        raise UsageError("name a command")


def check_finite(values: dict[str, Any]) -> None:
    """Raise UsageError for a flag that is infinite or no number, which a lower bound lets pass."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: give a finite number")


def check_device(name: str) -> None:
    """Raise UsageError for a device that is not here, before anything is read."""
    from clusterkit.device import choose_device

    choose_device(name)


def typed(call: typer.Context, values: dict[str, Any]) -> frozenset[str]:
    """Return which parameters of a call come from its command line, whatever their value."""
    sources = {name: call.get_parameter_source(name) for name in values}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def alone(values: dict[str, Any]) -> bool:
    return False


def with_common(
    command: Callable[..., None],
    shared: Callable[[dict[str, Any]], bool] = alone,
    more: Sequence[inspect.Parameter] = (),
) -> Callable[..., None]:
    """Add the common flags, and `more` of the command's own, to a command whose first parameter takes the common ones.

    `shared` tells by the command's own flags whether several processes, where torchrun starts them, do its work
    together. Otherwise the first one does it and the others have nothing to do.
    """
    signature = inspect.signature(command)
    written = list(signature.parameters.values())[1:]
    own = [one for one in written if one.kind is not inspect.Parameter.VAR_KEYWORD] + list(more)
    flags = [
        inspect.Parameter("call", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in FLAGS.items()
        ),
    ]

    @functools.wraps(command)
    def wrapped(call: typer.Context, **values: Any) -> None:
        common = {name: values.pop(name) for name in FLAGS}
        console.set_up(common["quiet"])
        check_finite(values)
        rank, count = console.processes()
        together = count > 1 and shared(values)
        if rank > 0 and not together:
            return
        check_device(common["device"])
        data = {} if common["data"] is None else {"data": common["data"]}
        context = Context(
            workdir=common["workdir"],
            device=common["device"],
            seed=common["seed"],
            offline=common["offline"],
            resume=bool(values.pop("resume", False)),
            given=typed(call, values),
            **data,
        )
        if not together:
            command(Common(context, common["as_json"]), **values)
            return
        from clusterkit.distributed import joined, local_device

        device = local_device(context.device)
        with joined(device):
            command(Common(replace(context, device=device), common["as_json"]), **values)

    wrapped.__signature__ = signature.replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*own, *flags]}
    return wrapped
