"""How the user's own data are read. Nothing heavy is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from clusterkit.errors import UsageError
from clusterkit.settings import Flag, Settings, typed

OWN_DATA = ("folder", "arrays", "features")
"""The prefixes, before colon and path, of the names of the user's own data."""


LABELS = "labels"
"""The prefix, before colon and path, of a file of labels in headers."""
WEIGHTS = "weights"
"""The prefix, before colon and path, of a file of the user's weights in headers."""


@dataclass(frozen=True, kw_only=True)
class Reading(Settings):
    """How the user's own data are read. Headers record it, so that later commands read the data alike.

    A file has several names by hard links and symbolic links.
    """

    flat: Annotated[
        bool, Flag(name="flat", help="Read all images of the folder, those of its subfolders too, without labels.")
    ] = False
    sniff: Annotated[bool, Flag(name="sniff", help="Read files without a suffix too if they contain an image.")] = False
    skip_bad: Annotated[bool, Flag(name="skip-bad", help="Leave out unreadable images, and name them.")] = False
    keep_duplicates: Annotated[
        bool, Flag(name="keep-duplicates", help="Read a file with several names once for each name.")
    ] = False
    pixel_max: Annotated[
        float | None,
        Flag(
            help="Largest value of a pixel in arrays:FILE.",
            default="1 for floats and bool, 65535 for uint16, 255 for other integers",
        ),
    ] = None
    labels: Annotated[
        Path | None,
        Flag(help="File of the labels: NAME,LABEL or ID,LABEL in a .csv or .tsv, or one label per item in order."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixel_max is not None and not self.pixel_max > 0:
            raise UsageError(f"--pixel-max {self.pixel_max:g}: give a number above 0")

    def to_header(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults."""
        fields = {name: value for name, value in vars(self).items() if value}
        return fields if self.labels is None else {**fields, "labels": f"{LABELS}:{self.labels.as_posix()}"}

    @classmethod
    def recorded(cls, dataset: Mapping[str, Any]) -> "Reading":
        """Return the settings in a data set's entry of a header."""
        fields = dataset.get("reading", {})
        return cls(**{name: read_back(value) for name, value in fields.items()})

    def flags(self) -> list[str]:
        """Return the flags that give these settings."""
        words = []
        for name in self.to_header():
            value = getattr(self, name)
            text = f"{value:.15g}" if isinstance(value, float) else str(value)
            words += [typed(name)] if value is True else [typed(name), text]
        return words

    def of(self, source: str) -> "Reading":
        """Return the settings that data of a prefix, such as folder, are read by, without those of other data."""
        return Reading(**{name: getattr(self, name) for name in self.to_header() if source in readers(name)})

    @property
    def unlabelled(self) -> "Reading":
        """Return how the items are read, without their labels."""
        return replace(self, labels=None)


def read_back(value: Any) -> Any:
    """Return the value of a setting of `Reading` from that in a header."""
    return value.removeprefix(f"{LABELS}:") if isinstance(value, str) else value


def readers(setting: str) -> tuple[str, ...]:
    """Return the prefixes of the data that a setting of `Reading` applies to."""
    return {"pixel_max": ("arrays",), "labels": OWN_DATA}.get(setting, ("folder",))


USUAL = Reading()
"""How data are read without flags."""
