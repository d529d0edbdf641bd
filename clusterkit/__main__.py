"""The program's entry: from arguments to an exit code."""

import sys
from collections.abc import Sequence

from clusterkit import console
from clusterkit.errors import ClusterkitError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (docs/stages.md lists them)."""
    from clusterkit.cli import app

    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # typer turns Ctrl-C into the value 130 and --help into 0.
        code = app(arguments, prog_name="clusterkit", standalone_mode=False) or 0
    except SystemExit as end:
        code = end.code
    except ClusterkitError as error:
        if "--debug" in arguments:
            raise
        console.error(str(error))
        return error.exit_code
    except MemoryError:
        console.error("out of memory; try a smaller batch, --form factored, or a machine with more")
        return 1
    except Exception as error:
        return _other(error, "--debug" in arguments)
    if code == INTERRUPTED:
        console.error("interrupted; finished outputs are as they were, --resume goes on with a training")
    return code if isinstance(code, int) else 1


def _other(error: Exception, debug: bool) -> int:
    """Report a usage error of typer's, whose classes it keeps to itself, or an unexpected failure."""
    message = getattr(error, "format_message", None)
    if message is None:
        if debug:
            raise error
        console.error(f"unexpected {type(error).__name__}: {error}; --debug shows where")
        return 1
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help(), file=sys.stderr)
    else:
        path = context.command_path if context is not None else "clusterkit"
        console.error(f"{message()} (see: {path} --help)")
    return int(getattr(error, "exit_code", 2))


def run() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
