"""clusterkit reproduce: the papers' tables, one study a file, ours beside the published figures."""

import typer

from clusterkit.cli.reproduce import natural, omniglot, omniglot_mnist, supervised

EXAMPLE = "Example: clusterkit reproduce omniglot"


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Run a study of the papers and write its tables, the published figures beside ours.",
        epilog=EXAMPLE,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    for study in (omniglot, omniglot_mnist, supervised, natural):
        study.register(group)
    app.add_typer(group, name="reproduce")
