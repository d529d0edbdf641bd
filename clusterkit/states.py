"""The folder beside an output for the state of its training, from which an interrupted run resumes."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from clusterkit.artifacts.files import check_place, write_text
from clusterkit.distributed import is_first
from clusterkit.errors import InputError

log = logging.getLogger("clusterkit")


def other_run(state: Path) -> InputError:
    return InputError(
        f"{state}: the state of a run with other settings, inputs, seed, device or versions; "
        "repeat the interrupted command, or start again without --resume"
    )


@dataclass(frozen=True)
class StateFolder:
    """The folder beside an output for the state of its training, with one file per network.

    Without `resume` the state of an interrupted run is deleted and this is logged. The folder is made with its first
    file, so a run that fails earlier leaves none. Raises InputError, before any training, if it cannot be made. Only
    the first process changes the folder.
    """

    output: Path
    resume: bool

    def __post_init__(self) -> None:
        if not is_first():
            return
        exists = self.path.exists()
        if exists and not self.resume:
            log.info("%s: discarding the state of an interrupted run (--resume continues such a run)", self.output)
            self.remove()
        if self.resume and not exists:
            log.info("%s: no interrupted run to resume, starting from the beginning", self.output)
        check_place(self.output)

    @property
    def path(self) -> Path:
        return self.output.with_name(f".{self.output.name}.state")

    def file(self, name: str) -> Path:
        return self.path / f"{name}.safetensors"

    def check_key(self, key: str) -> None:
        """Record `key` in the folder. Raises InputError if the folder has the state of a run with another key."""
        place = self.path / "key"
        if place.exists() and place.read_text() != key:
            raise other_run(place)
        write_text(place, key)

    def remove(self) -> None:
        if is_first():
            shutil.rmtree(self.path, ignore_errors=True)
