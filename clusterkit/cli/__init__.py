"""The command line: one file a command, named as the command. Nothing heavy is imported before a command runs."""

import typer

from clusterkit import __version__
from clusterkit.cli import (
    adapt,
    assign,
    cluster,
    datasets,
    demo,
    estimate_k,
    evaluate,
    inspect,
    predict_pairs,
    pretrain,
    reproduce,
    self_train,
    train_g,
)
from clusterkit.cli.common import name_a_command

app = typer.Typer(
    help="""Category discovery by transfer: learn on labelled images what makes two alike, carry that to unlabelled
    images, sort them into categories nobody named, and say how many there are.""",
    epilog="Exit codes: 0 done, 1 unexpected failure, 2 bad flag or value, 3 an input is missing, damaged or does not "
    "match, 4 the result is below --fail-under, 130 interrupted.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", "-V", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Print the version, or the help where no command is named."""
    name_a_command(context)


COMMANDS = (
    pretrain,
    train_g,
    self_train,
    predict_pairs,
    cluster,
    estimate_k,
    evaluate,
    assign,
    adapt,
    reproduce,
    demo,
    inspect,
    datasets,
)
for command in COMMANDS:
    command.register(app)
