"""clusterkit reproduce: the papers' studies, one a file."""

import typer

from clusterkit.cli.common import name_a_command
from clusterkit.cli.reproduce import (
    baselines,
    digits,
    natural,
    office31,
    omniglot,
    omniglot_mnist,
    robustness,
    supervised,
)

EXAMPLE = "Example: clusterkit reproduce omniglot"


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Run a study of the papers and write its tables or pictures.",
        epilog=EXAMPLE,
        rich_markup_mode="markdown",
        invoke_without_command=True,
        callback=name_a_command,
    )
    for study in (omniglot, baselines, omniglot_mnist, robustness, supervised, natural, digits, office31):
        study.register(group)
    app.add_typer(group, name="reproduce")
