"""The errors that a user can cause, each with the exit code of the program."""

NO_MEMORY = (
    "out of memory",
    "allocate memory",
    "memory allocation failed",
    "bad_alloc",
    "could not create a primitive",
)
"""Words of torch, HDF5, C++, oneDNN and the system for the same thing."""
NO_THREAD = "can't start new thread"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory or threads have run out, which is no fault of the file that was being read."""
    text = str(error).lower()
    # A library is not mapped into memory either where the disk permits no programs.
    if "failed to map segment" in text:
        return "not permitted" not in text
    # oneDNN refuses convolutions that it does not have with longer words.
    text = text.replace("could not create a primitive descriptor", "")
    return isinstance(error, MemoryError) or any(words in text for words in (*NO_MEMORY, NO_THREAD))


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


class OneClassError(InputError):
    """A labelled folder with only one class; `place` is the folder, and `found` what it holds."""

    def __init__(self, place: str, found: str) -> None:
        super().__init__(
            f"{place}: {found}; put every class into its own subfolder, or read all images without labels with --flat"
        )
        self.place, self.found = place, found


class DivergedError(ClusterkitError):
    """A training whose loss or weights are not finite."""


class GateError(ClusterkitError):
    """A score below the value of `--fail-under`."""

    exit_code = 4
