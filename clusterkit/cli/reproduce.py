"""clusterkit reproduce: one command per study of the papers."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import Common, Resume, name_a_command, with_common
from clusterkit.cli.options import options_in, parameter, read_all
from clusterkit.studies import STUDIES

EXAMPLE = "Example: clusterkit reproduce omniglot"
Latex = Annotated[bool, typer.Option("--latex", help="Also write the tables as LaTeX.")]
SHARED = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
    for name, annotation in (("latex", Latex), ("resume", Resume))
]
"""The flags that every study has."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Run a study of the papers and write its tables or pictures.",
        epilog=EXAMPLE,
        rich_markup_mode="markdown",
        invoke_without_command=True,
        callback=name_a_command,
    )
    for name, study in STUDIES.items():
        options = [parameter(*option) for option in options_in(study.options)]
        command = with_common(command_of(name), more=[*options, *SHARED], folder=name)
        group.command(name, epilog=study.example, help=study.help)(command)
    app.add_typer(group, name="reproduce")


def command_of(name: str) -> Callable[..., None]:
    """Return the command of a study."""

    def command(common: Common, **flags: Any) -> None:
        from clusterkit.studies.common.driver import run

        study, with_latex = STUDIES[name], flags.pop("latex")
        written = run(name, study, read_all(study.options, flags), common.context, with_latex=with_latex)
        console.result(written.text.splitlines(), {"artifact": str(written.artifact), **written.fields}, common.as_json)

    return command
