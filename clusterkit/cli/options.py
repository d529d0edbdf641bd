"""The flags of options that methods declare: one flag for a name, whichever methods have it."""

import inspect
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields
from typing import Annotated, Any

import typer

from clusterkit.errors import UsageError
from clusterkit.settings import Flag, Options, declared

Declared = Mapping[str, type[Options]]
"""The dataclass of its own options by the name of each method."""


def flags_of(declared: Declared) -> list[inspect.Parameter]:
    """Return a parameter for each option of any method, in a panel that names its methods.

    Its default is that of the first method that has the option.
    """
    users: dict[str, list[str]] = {}
    first: dict[str, tuple[Any, Flag, Any]] = {}
    for method, options in declared.items():
        for name, kind, flag, default in options_in(options):
            users.setdefault(name, []).append(method)
            first.setdefault(name, (kind, flag, default))
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default if flag.read is None else str(default),
            annotation=Annotated[
                str if flag.read else kind,
                typer.Option(
                    help=flag.help,
                    min=flag.min,
                    metavar=flag.metavar,
                    show_default=flag.default or True,
                    rich_help_panel=f"Options of {', '.join(users[name])}",
                ),
            ],
        )
        for name, (kind, flag, default) in first.items()
    ]


def options_in(options: type[Options]) -> Iterator[tuple[str, Any, Flag, Any]]:
    """Yield name, type, flag and default of each option."""
    for (name, kind, flag), one in zip(declared(options), fields(options), strict=True):
        assert flag is not None
        yield name, kind, flag, one.default


def read_options(declared: Declared, method: str, flags: Mapping[str, Any], typed: Set[str]) -> Options | None:
    """Return the options of a method by those of the flags that were typed, None for a method that there is not.

    Raises UsageError for a flag that the method has not, or whose text cannot be read.
    """
    if method not in declared:
        return None
    own = {name: flag for name, _, flag, _ in options_in(declared[method])}
    values = {}
    for name, value in flags.items():
        if name not in typed:
            continue
        if name not in own:
            users = [other for other, options in declared.items() if name in {one.name for one in fields(options)}]
            raise UsageError(
                f"--{name.replace('_', '-')}: --method {method} does not use it; leave it out or use "
                f"--method {' or '.join(users)}"
            )
        read = own[name].read
        values[name] = value if read is None else read(value)
    return declared[method](**values)
