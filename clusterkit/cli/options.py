"""The flags of options that methods and studies declare: one flag for a name, whichever methods have it."""

import inspect
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin

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
    return [parameter(name, *option, f"Options of {', '.join(users[name])}") for name, option in first.items()]


def parameter(name: str, kind: Any, flag: Flag, default: Any, panel: str | None = None) -> inspect.Parameter:
    """Return the parameter of a command for an option, in a panel of the help where one is named."""
    one = repeated(kind)
    typed = str if flag.read else kind
    if one is not None:
        values = list[str if flag.read else one]  # type: ignore[misc, valid-type]
        typed = values | None if default is None else values
        default = None if default is None else [str(value) if flag.read else value for value in default]
    elif flag.read:
        default = str(default)
    choices = None if flag.choices is None else f"[{'|'.join(flag.choices)}]"
    option = typer.Option(
        *([] if flag.name is None else [f"--{flag.name}"]),
        help=flag.help,
        min=flag.min,
        max=flag.max,
        metavar=flag.metavar or choices,
        show_default=flag.default or True,
        rich_help_panel=panel,
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[typed, option])


def repeated(kind: Any) -> Any:
    """Return the type of one value of a flag that may be repeated, None for another flag."""
    tuples = [one for one in (kind, *get_args(kind)) if get_origin(one) is tuple]
    return get_args(tuples[0])[0] if tuples else None


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
    own = {name for name, *_ in options_in(declared[method])}
    values = {name: value for name, value in flags.items() if name in typed}
    for name in values:
        if name not in own:
            users = [other for other, options in declared.items() if name in {one.name for one in fields(options)}]
            raise UsageError(
                f"--{name.replace('_', '-')}: --method {method} does not use it; leave it out or use "
                f"--method {' or '.join(users)}"
            )
    return read_all(declared[method], values)


def read_all(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Return options by the values of their flags; a flag without one stays at its default.

    Raises UsageError for a text that cannot be read.
    """
    read = {}
    for name, kind, flag, _ in options_in(options):
        if name not in values:
            continue
        value, parse = values[name], flag.read or (lambda text: text)
        if repeated(kind) is None:
            read[name] = parse(value)
        else:
            read[name] = None if value is None else tuple(dict.fromkeys(map(parse, value)))
    return options(**read)
