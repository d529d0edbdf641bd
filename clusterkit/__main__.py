"""The entry point of the program."""

import os
import re
import sys
import traceback
from collections.abc import Sequence

from clusterkit import console
from clusterkit.errors import NO_THREAD, ClusterkitError, InputError, is_out_of_memory

INTERRUPTED = 130
PARSER = re.compile(r"Value error, |, unable to parse string as an? \w+")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (docs/stages.md lists them)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    console.escape_output()
    try:
        from clusterkit.cli import app

        # typer turns Ctrl-C into the value 130 and --help into 0.
        code = app(arguments, prog_name="clusterkit", standalone_mode=False) or 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:
        # rich ends the program if the reader of the help has ended.
        code = 0 if isinstance(end.__context__, BrokenPipeError) else end.code
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exception(error)
        code, message = explain(error)
        console.error(message)
        return code
    if code == INTERRUPTED:
        console.error("interrupted; finished files are complete; repeat the command, with --resume if it has this flag")
    return code if isinstance(code, int) else 1


def explain(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error and the line that explains it."""
    if isinstance(error, ClusterkitError):
        return error.exit_code, console.printable(str(error))
    if NO_THREAD in str(error):
        return 1, "a thread could not be started; raise the limits of processes and memory, or set OMP_NUM_THREADS=1"
    if is_out_of_memory(error):
        return 1, "out of memory; try smaller batches or images, --form factored, or a machine with more memory"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return (
            InputError.exit_code,
            f"{where}{error.strerror}; check the path, its permissions and the free disk space",
        )
    return usage(error) or (
        1,
        f"unexpected {type(error).__name__}: {error}; repeat the command with --debug to see where",
    )


def usage(error: Exception) -> tuple[int, str] | None:
    """Return exit code and line for a usage error of typer, whose classes are private; None for other errors."""
    message = getattr(error, "format_message", None)
    if message is None:
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "clusterkit"
    # The library that checks values for typer words its messages for programmers.
    text = (
        PARSER.sub("", message()).replace("Input should be", "it should be").replace("int range", "integer").rstrip(".")
    )
    return int(getattr(error, "exit_code", 2)), f"{text} (see: {path} --help)"


def run() -> None:
    """Run the console script."""
    code = main()
    if console.processes()[1] > 1:
        # After another process has ended, threads of torch can abort a normal exit and change its code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
