"""What timm and torchvision say of a model before its weights are read, and how they are kept quiet."""

import difflib
import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterkit.errors import UsageError
from clusterkit.features.prepare import Preprocessing

NOT_STATED = "not stated"
"""The licence of weights without one."""


@dataclass(frozen=True, kw_only=True)
class Card(Preprocessing):
    """A model of a library, named without the library.

    In the data root, its weights have one of the names `files`. Published, they are at `url`, or in a `repository` of
    the Hugging Face hub; those of the program itself are the file `packaged`. A network with `fixed_size` is built for
    one size of its input. `learned_from` are the `dataset` objects of the sets whose labels the weights learned, as far
    as they are sets of the program.
    """

    name: str
    licence: str
    files: tuple[str, ...]
    repository: str = ""
    url: str = ""
    fixed_size: bool = False
    packaged: Path | None = None
    learned_from: tuple[dict[str, Any], ...] = ()


def unknown(library: str, name: str, names: Collection[str]) -> UsageError:
    """Return the error for a name that a library does not have."""
    close = difflib.get_close_matches(name, names, 3)
    advice = f"did you mean {' or '.join(close)}?" if close else f"choose a name that {library} lists"
    return UsageError(f"--backbone {library}:{name}: {library} has no such model for images; {advice}")


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what timm, torchvision and the Hugging Face hub log and warn of."""
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
