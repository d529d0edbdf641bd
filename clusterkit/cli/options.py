"""The flags of the options that methods and studies declare. Methods with an option of one name share its flag."""

import inspect
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin

import typer

from clusterkit.errors import UsageError
from clusterkit.reading import Reading
from clusterkit.settings import Flag, Options, declared

Declared = Mapping[str, type[Options]]
"""The dataclass of options by the name of the method."""


def flags_of(declared: Declared) -> list[inspect.Parameter]:
    """Return one parameter per option, in a panel of the help that names its methods.

    The default is that of the first method with the option.
    """
    users: dict[str, list[str]] = {}
    first: dict[str, tuple[Any, Flag, Any]] = {}
    for method, options in declared.items():
        for name, kind, flag, default in options_in(options):
            users.setdefault(name, []).append(method)
            first.setdefault(name, (kind, flag, default))
    return [parameter(name, *option, f"Options of {', '.join(users[name])}") for name, option in first.items()]


def parameter(name: str, kind: Any, flag: Flag, default: Any, panel: str | None = None) -> inspect.Parameter:
    """Return the parameter of a command for an option. `panel` is its panel in the help."""
    item_kind = repeated(kind)
    annotation = str if flag.read else kind
    if item_kind is not None:
        values = list[str if flag.read else item_kind]  # type: ignore[misc, valid-type]
        annotation = values | None if default is None else values
        default = None if default is None else [str(value) if flag.read else value for value in default]
    elif flag.read and default is not None:
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
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def repeated(kind: Any) -> Any:
    """Return the type of one value of a flag that may be repeated, None for any other flag."""
    tuples = [part for part in (kind, *get_args(kind)) if get_origin(part) is tuple]
    return get_args(tuples[0])[0] if tuples else None


def options_in(options: type[Options | Reading]) -> Iterator[tuple[str, Any, Flag, Any]]:
    """Yield the name, type, flag and default of each option."""
    for (name, kind, flag), field in zip(declared(options), fields(options), strict=True):
        assert flag is not None
        yield name, kind, flag, field.default


def read_options(declared: Declared, method: str, flags: Mapping[str, Any], typed: Set[str]) -> Options | None:
    """Return the options of a method from the typed flags, None for an unknown method.

    Raises UsageError for a flag that the method does not have, or whose text cannot be parsed.
    """
    if method not in declared:
        return None
    names = {name for name, *_ in options_in(declared[method])}
    values = {name: value for name, value in flags.items() if name in typed}
    for name in values:
        if name not in names:
            users = [other for other, options in declared.items() if name in {field.name for field in fields(options)}]
            raise UsageError(
                f"--{name.replace('_', '-')}: --method {method} does not use it; leave it out or use "
                f"--method {' or '.join(users)}"
            )
    return read_all(declared[method], values)


def read_all(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Return options from the values of their flags. Options without a value keep their defaults.

    Raises UsageError for a text that cannot be parsed.
    """
    parsed = {}
    for name, kind, flag, _ in options_in(options):
        if name not in values:
            continue
        value, parse = values[name], flag.read or (lambda text: text)
        if repeated(kind) is None:
            parsed[name] = parse(value)
        else:
            parsed[name] = None if value is None else tuple(dict.fromkeys(map(parse, value)))
    return options(**parsed)
