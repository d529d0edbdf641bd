"""Stages that one command runs after another, each announced by its own command line."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clusterkit import console
from clusterkit.config import Context
from clusterkit.errors import InputError
from clusterkit.settings import typed

Keeps = Callable[[Path, Context], bool]
"""Tells of the file of a stage whether it is up to date."""


@dataclass
class Steps:
    """The stages of this command in the work folder of `context`: each is announced, and run if it is out of date."""

    context: Context
    count: int
    number: int = 0
    artifacts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    def run(
        self, why: str, command: str, words: Sequence[str], stage: Callable[[Any, Context], Any], config: Any,
        context: Context, output: str, keeps: Keeps = lambda path, context: False,
    ) -> Any:  # fmt: skip
        """Announce a stage by its command line, and run it unless `keeps` says that its file is up to date.

        Return its result, None for a file that is kept.
        """
        self.number += 1
        path = self.context.path(output)
        flags = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
        context = replace(context, given=frozenset(flags))
        line = shlex.join(["clusterkit", command, *words, *context.reading.flags(), *common_flags(context)])
        console.log.info("")
        console.log.info("%d of %d. %s", self.number, self.count, why)
        console.log.info("$ %s", line)
        self.artifacts[command] = str(path)
        if keeps(path, context):
            console.log.info("%s is up to date", path)
            self.kept.add(command)
            return None
        if command != "cluster":
            # cluster announces this itself.
            announce_replaced(path, command, config, context)
        done = stage(config, context)
        self.warnings += getattr(done, "warnings", [])
        return done


def announce_replaced(path: Path, command: str, config: Any, context: Context) -> None:
    """Log that a file which other settings made will be replaced; a damaged or an automatic one is not announced."""
    from clusterkit.artifacts.header import Header, resolved
    from clusterkit.artifacts.replaced import announce
    from clusterkit.artifacts.summary import summarise

    if not path.exists() or path.suffix == ".html":
        return
    with suppress(InputError):
        earlier = Header(**summarise(path)["header"])
        if not earlier.config.get("automatic"):
            announce(path, earlier, replace(earlier, stage=command, config=resolved(config), seed=context.seed))


def common_flags(context: Context) -> list[str]:
    """Return the common flags that differ from their defaults."""
    usual = Context()
    words = []
    for name in ("workdir", "data", "device", "seed"):
        value = getattr(context, name)
        words += [] if value == getattr(usual, name) else [typed(name), str(value)]
    return [*words, "--offline"] if context.offline else words


def is_current(
    path: Path, settings: object, context: Context, models: list[Any] | None, inputs: Mapping[str, Path]
) -> bool:
    """Return whether a file is what its stage would write now, with these backbones, if any; a damaged one is not."""
    from clusterkit.artifacts.summary import summarise
    from clusterkit.datasets.current import up_to_date

    if not path.exists():
        return False
    try:
        header = summarise(path)["header"]
        return header["dataset"].get("features") == models and up_to_date(path, settings, context, **inputs)
    except InputError as error:
        console.log.info("%s; it is made again now", str(error).partition(";")[0])
        return False
