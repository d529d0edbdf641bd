"""The command line: one file per command, with its name. Nothing heavy is imported before a command runs."""

import typer

from clusterkit import __version__
from clusterkit.cli import (
    adapt,
    assign,
    cluster,
    datasets,
    demo,
    discover,
    embed,
    estimate_k,
    evaluate,
    inspect,
    predict_pairs,
    pretrain,
    report,
    reproduce,
    self_train,
    train_critic,
    train_g,
)
from clusterkit.cli.common import name_a_command

app = typer.Typer(
    help="""Find categories in unlabelled images by transfer: learn on labelled images of other categories which pairs
    are similar, predict the pairs of the unlabelled images, cluster by them, and estimate the number of categories.""",
    epilog="Exit codes: 0 success, 1 unexpected failure, 2 unusable flag or value, 3 an input is missing, damaged or "
    "does not match, or an output cannot be written, 4 a score is below --fail-under, 130 interrupted.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_requested: bool) -> None:
    if is_requested:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", "-V", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Print the version, or the help if no command is named."""
    name_a_command(context)


COMMANDS = (
    discover,
    pretrain,
    train_g,
    self_train,
    embed,
    predict_pairs,
    cluster,
    estimate_k,
    evaluate,
    assign,
    adapt,
    train_critic,
    report,
    reproduce,
    demo,
    inspect,
    datasets,
)
for command in COMMANDS:
    command.register(app)
