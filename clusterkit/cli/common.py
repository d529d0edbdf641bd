"""The flags that several commands share, and the wrapper that adds the common ones to a command."""

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
from clusterkit.cli.reading import reading_of
from clusterkit.config import Backbone, Context, Precision, Recipe
from clusterkit.errors import UsageError
from clusterkit.settings import LEAST, MOST_SEED, MOST_SIZE

COMMON = "Common"
"""The panel of the flags of every command."""
NETWORK = "Network"
TRAINING = "Training"
Workdir = Annotated[
    Path,
    typer.Option(
        "--workdir",
        envvar="CLUSTERKIT_WORKDIR",
        help="Folder of the files that commands read and write.",
        rich_help_panel=COMMON,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="CLUSTERKIT_DATA",
        help="Root folder of the data sets.",
        show_default="~/.cache/clusterkit",
        rich_help_panel=COMMON,
    ),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", envvar="CLUSTERKIT_OFFLINE", help="Never download anything.", rich_help_panel=COMMON),
]
Device = Annotated[
    str, typer.Option("--device", help="Compute device: auto, cpu, cuda, cuda:N or mps.", rich_help_panel=COMMON)
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of all randomness.", rich_help_panel=COMMON)
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=COMMON)]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print only warnings and errors on stderr.", rich_help_panel=COMMON)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.", rich_help_panel=COMMON)]
Backbones = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help=f"A network to train ({', '.join(Backbone)}), or a fixed one that is not trained: timm:NAME or "
        "torchvision:NAME; the features of several, joined by +, are concatenated.",
        show_default="a small DINOv2 for photos, conv4-fine for characters, mlp for vectors",
        rich_help_panel=NETWORK,
    ),
]
Recipes = Annotated[
    Recipe,
    typer.Option(
        "--recipe",
        help="Settings where no flag is typed; a typed flag replaces that one setting. best depends on the kind of the "
        "set and clusters best; paper has the papers' own settings: whole networks from random weights, on photos "
        "too, and no self-train.",
    ),
]
FIXED = (
    "Network that is not trained: timm:NAME, torchvision:NAME or clusterkit:characters. The features of several, "
    "joined by +, are scaled to length one and concatenated."
)
"""The help of `--backbone` of commands that train no network."""
Weights = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of a fixed backbone (.safetensors or .pth); repeat it for several backbones, in their order.",
        show_default="those of its library, downloaded if they are not here",
        rich_help_panel=NETWORK,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=LEAST["size"],
        max=MOST_SIZE,
        help="Side in pixels of the pictures that the backbone reads.",
        show_default="that of the backbone",
        rich_help_panel=NETWORK,
    ),
]
Examples = Annotated[
    Path | None,
    typer.Option(
        "--examples",
        metavar="FILE",
        help="CSV or TSV file with labels of some of the items to cluster: ITEM,LABEL, with items by name or id. Items "
        "of one label belong together, items of different labels do not, and clusters are named by their labels.",
        rich_help_panel="Input",
    ),
]
Precise = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Number format of the training: fp32, or the faster tf32 (CUDA only) or bf16.",
        rich_help_panel=TRAINING,
    ),
]
DropEvery = Annotated[
    int | None,
    typer.Option(
        "--drop-every",
        min=1,
        help="Divide the learning rate by ten after every so many epochs.",
        show_default="the rate follows a cosine",
        rich_help_panel=TRAINING,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run of this command.")]


@dataclass(frozen=True)
class Common:
    """The values of the common flags."""

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
    """Show the help on stderr and raise UsageError if no command of the group is named."""
    if context.invoked_subcommand is None:
        with contextlib.redirect_stdout(sys.stderr):
            # Help in panels is printed, not returned.
            print(context.get_help(), end="")
        raise UsageError("name a command")


def check_finite(values: dict[str, Any]) -> None:
    """Raise UsageError for a flag that is infinite or NaN, which the check of its lower bound accepts."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: give a finite number")


def check_device(name: str) -> None:
    """Raise UsageError, before anything is read, for a device that is not here."""
    from clusterkit.device import choose_device

    choose_device(name)


def typed(call: typer.Context, values: dict[str, Any]) -> frozenset[str]:
    """Return the names of the parameters that were typed on the command line."""
    sources = {name: call.get_parameter_source(name) for name in values}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")


def never_shared(values: dict[str, Any]) -> bool:
    return False


def with_common(
    command: Callable[..., None],
    shared: Callable[[dict[str, Any]], bool] = never_shared,
    more: Sequence[inspect.Parameter] = (),
    folder: str | None = "",
) -> Callable[..., None]:
    """Add the common flags, and `more` flags, to a command whose first parameter takes the common ones.

    `shared` returns, from the command's flags, whether the processes that torchrun started share its work. If not, the
    first process runs the command and the others end. `folder` is the part of the work folder that the command writes,
    which no other job can write at the same time; None for a command that writes nothing there.
    """
    signature = inspect.signature(command)
    declared = list(signature.parameters.values())[1:]
    parameters = [entry for entry in declared if entry.kind is not inspect.Parameter.VAR_KEYWORD] + list(more)
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
        console.set_up(common["quiet"], common["workdir"])
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
            reading=reading_of(values),
            given=typed(call, values),
            **data,
        )
        from clusterkit.artifacts.work_folder import held

        with contextlib.ExitStack() as blocks:
            if together:
                from clusterkit.distributed import joined, local_device

                context = replace(context, device=local_device(context.device))
                blocks.enter_context(joined(context.device))
            # The others notice that the first process has failed only if they have met it.
            if folder is not None and rank == 0:
                blocks.enter_context(held(context.workdir / folder, call.command_path))
            command(Common(context, common["as_json"]), **values)

    wrapped.__signature__ = signature.replace(parameters=[*parameters, *flags])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in [*parameters, *flags]}
    return wrapped
