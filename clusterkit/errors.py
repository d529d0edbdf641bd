"""The errors a user can cause, each with the exit code it ends the program with."""


class ClusterkitError(Exception):
    """A failure that one line explains: what, which file or flag, what to do next."""

    exit_code = 1


class UsageError(ClusterkitError, ValueError):
    """A flag or value that cannot be used."""

    exit_code = 2


class InputError(ClusterkitError):
    """A file that is missing, foreign, damaged, too new, not what it was made from, or cannot be written."""

    exit_code = 3


class MissingFileError(InputError, FileNotFoundError):
    """A file that is missing."""


class DivergedError(ClusterkitError):
    """A training whose loss is no longer a number."""


class GateError(ClusterkitError):
    """The run is fine and its result is below what `--fail-under` asks for."""

    exit_code = 4
