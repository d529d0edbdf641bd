"""clusterkit discover"""

import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import NETWORK, Backbones, Common, Examples, Weights, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import (
    PHOTOS,
    ClusterConfig,
    Context,
    EstimateKConfig,
    Head,
    Placing,
    PredictPairsConfig,
    ReportConfig,
    TrainGConfig,
    parse_backbone,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import LABELS, OWN_DATA, Reading
from clusterkit.settings import CountedBy, Fixed, parse_k, typed

EXAMPLE = "Example: clusterkit discover folder:photos"
UNREAD = ("flat", LABELS)
"""Flags of reading that this command does not have: it reads folders flat, and no labels of the pictures to sort."""


def register(app: typer.Typer) -> None:
    more = [flag for flag in reading_flags() if flag.name not in UNREAD]
    app.command("discover", epilog=EXAMPLE)(with_common(discover, more=more))


class Done(Protocol):
    """The result of a stage that may warn."""

    @property
    def artifact(self) -> Path: ...


@dataclass
class Steps:
    """The stages of this command in the work folder of `context`: each is announced, and run if it is out of date."""

    context: Context
    count: int
    number: int = 0
    artifacts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def run(
        self, why: str, command: str, words: Sequence[str], stage: Callable[[Any, Context], Any], config: Any,
        context: Context, output: str, keeps: Callable[[Path, Context], bool] = lambda path, context: False,
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
            return None
        done = stage(config, context)
        self.warnings += getattr(done, "warnings", [])
        return done


def common_flags(context: Context) -> list[str]:
    """Return the common flags that differ from their defaults."""
    usual = Context()
    words = []
    for name in ("workdir", "data", "device", "seed"):
        value = getattr(context, name)
        words += [] if value == getattr(usual, name) else [typed(name), str(value)]
    return [*words, "--offline"] if context.offline else words


def discover(
    common: Common,
    dataset: Annotated[
        str, typer.Argument(help="The pictures: folder:PATH, read with all its subfolders, or another data set.")
    ],
    like: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Labelled pictures of other categories, as folder:PATH with one subfolder per class, to learn from "
            "which differences matter.",
            show_default="the features decide alone",
        ),
    ] = None,
    k: Annotated[
        str, typer.Option(metavar="[N|auto]", help="Number of groups; auto estimates it.")
    ] = CountedBy.ESTIMATE.value,
    examples: Examples = None,
    backbone: Backbones = None,
    weights: Weights = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side in pixels of the pictures that the backbone reads.",
            show_default="that of the backbone",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    folders: Annotated[
        Path | None,
        typer.Option(help="Also put every picture into a folder of its group, below this new folder.", metavar="DIR"),
    ] = None,
    by: Annotated[
        Placing, typer.Option(help="How pictures get into --folders; move writes undo.sh, which moves them back.")
    ] = ReportConfig.by,
) -> None:
    """Sort pictures into groups of a kind, from a folder to a page; write report.html, clusters.csv and what is between.

    Each stage shows its own command line, and is left out if its file is up to date. Open report.html in a browser.
    """
    start = time.monotonic()
    fixed = PHOTOS if backbone is None else parse_backbone(backbone)
    if not isinstance(fixed, Fixed):
        raise UsageError(f"--backbone {backbone}: is trained; name a fixed one, such as {PHOTOS}, or use train-g")
    number = parse_k(k)
    if number is CountedBy.LABELS:
        raise UsageError("--k known: counts labels, which discover does not read; give a number or auto")
    if folders is None and "by" in common.context.given:
        raise UsageError("--by works only with --folders; leave it out or give --folders")
    check_names(dataset, like)
