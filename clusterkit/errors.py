"""The errors that a user can cause, each with the exit code of the program."""


class ClusterkitError(Exception):
    """A failure that one line explains: it names the problem, the file or flag, and the next step."""

    exit_code = 1


class UsageError(ClusterkitError, ValueError):
    """A flag or value that cannot be used."""

    exit_code = 2


class InputError(ClusterkitError):
    """A file that is missing, foreign, damaged, too new, does not match, or cannot be written."""

    exit_code = 3


class MissingFileError(InputError, FileNotFoundError):
    """A file that is missing."""


class DivergedError(ClusterkitError):
    """A training whose loss or weights are not finite."""


class GateError(ClusterkitError):
    """A score below the value of `--fail-under`."""

    exit_code = 4
