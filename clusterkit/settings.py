"""Settings with several meanings: each becomes one value of its own type here, and nothing else reads its text.

`str` gives back the text that was typed, for messages and headers.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

from clusterkit.errors import UsageError


@dataclass(frozen=True)
class File:
    """A file that a setting names, where other values have names of their own."""

    name: str

    def __str__(self) -> str:
        return self.name


class CountedBy(StrEnum):
    """Who counts the clusters where K is no number: `estimate-k`, or an oracle that counts the target's classes."""

    ESTIMATE = "auto"
    LABELS = "known"


K = int | CountedBy


def parse_k(text: str) -> K:
    """Return K as `--k` names it. Raises UsageError for anything but a number from 2, `auto` or `known`."""
    if text in list(CountedBy):
        return CountedBy(text)
    if not (text.isdecimal() and int(text) >= 2):
        raise UsageError(
            f"--k {text}: give a number from 2, auto, or known (an oracle: it counts the target's classes)"
        )
    return int(text)


@dataclass(frozen=True)
class TruePairs:
    """The pairs that the target's labels give, for supervised studies."""

    def __str__(self) -> str:
        return "labels"


SIMULATED = "simulated:"


@dataclass(frozen=True)
class NoisyPairs:
    """True pairs of which only some are right: recalls of similar and dissimilar ones; `density` is the share used."""

    similar_recall: float
    dissimilar_recall: float
    density: float = 1.0

    def __str__(self) -> str:
        shares = (self.similar_recall, self.dissimilar_recall, self.density)
        return SIMULATED + ",".join(f"{share:g}" for share in shares[: 3 if self.density < 1 else 2])


Pairs = File | TruePairs | NoisyPairs


def parse_pairs(text: str) -> Pairs:
    """Return the pairs that `--pairs` names. Raises UsageError for `simulated:` with other than recalls in 0..1."""
    if text == str(TruePairs()):
        return TruePairs()
    if not text.startswith(SIMULATED):
        return File(text)
    numbers = text.removeprefix(SIMULATED).split(",")
    if len(numbers) not in (2, 3) or not all(re.fullmatch(r"\d*\.?\d+", number) for number in numbers):
        raise UsageError(f"--pairs {text}: write {SIMULATED}SIMILAR,DISSIMILAR[,DENSITY], each from 0 to 1")
    pairs = NoisyPairs(*map(float, numbers))
    shares = {"SIMILAR": pairs.similar_recall, "DISSIMILAR": pairs.dissimilar_recall, "DENSITY": pairs.density}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise UsageError(f"--pairs {text}: {name} is {value:g}; give a number from 0 to 1")
    if pairs.density == 0:
        raise UsageError(f"--pairs {text}: DENSITY is 0, which leaves no pairs; give a number above 0")
    return pairs


class Features(StrEnum):
    """What represents the items where no file of a network does: their pixels, or features of G or of a CCN."""

    PIXELS = "pixels"
    G = "g"
    CCN = "ccn"


def parse_features(text: str) -> Features | File:
    """Return the features that `--features` names."""
    return Features(text) if text in list(Features) else File(text)


class Init(StrEnum):
    """What a clustering network starts from where no file is: random weights, or the frozen backbone of G."""

    RANDOM = "random"
    G = "g"


def parse_init(text: str) -> Init | File:
    """Return the start that `--init` names."""
    return Init(text) if text in list(Init) else File(text)


@dataclass(frozen=True, kw_only=True)
class Flag:
    """How a field of a method's options is typed: its help, and what reads its text where the type alone does not.

    `default` replaces the field's default in the help.
    """

    help: str
    read: Callable[[str], Any] | None = None
    metavar: str | None = None
    min: float | None = None
    default: str | None = None


READERS: dict[Any, Callable[[str], Any]] = {
    K: parse_k,
    Pairs: parse_pairs,
    Features | File | None: parse_features,
    Path: Path,
    Path | None: Path,
}
"""What reads the text of a setting, by the setting's type."""


class Settings:
    """The base of dataclasses of settings: a Python program may give each value as text, as a command line does."""

    def __post_init__(self) -> None:
        """Turn text into what it means. Raises UsageError for a value that cannot be, TypeError for one of no type."""
        for name, kind, flag in declared(type(self)):
            read = flag.read if flag is not None and flag.read is not None else READERS.get(kind)
            value = getattr(self, name)
            value = str(value) if isinstance(value, Path) else value
            if read is not None and isinstance(value, str) and not isinstance(value, StrEnum):
                value = read(value)
            value = of_kind(name, value, kind)
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{typed(name)} {value}: give a finite number")
            if flag is not None and flag.min is not None and value is not None and value < flag.min:
                raise UsageError(f"{typed(name)} {value}: give a number from {flag.min}")
            object.__setattr__(self, name, value)


def declared(settings: type) -> Iterator[tuple[str, Any, Flag | None]]:
    """Yield name, type and flag, None where there is none, of each field of a dataclass of settings."""
    for one in fields(settings):
        kind, flag = get_args(one.type) if get_origin(one.type) is Annotated else (one.type, None)
        yield one.name, kind, flag


def typed(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


def of_kind(name: str, value: Any, kind: Any) -> Any:
    """Return the value of a setting as its type has it; text becomes a member of an enumeration.

    Raises UsageError for text that names no member, and TypeError for a value of another type.
    """
    kinds = [get_origin(one) or one for one in (get_args(kind) if isinstance(kind, UnionType) else (kind,))]
    # A bool counts as an int to Python, but is no number of anything.
    if isinstance(value, tuple(kinds)) and (type(value) is not bool or bool in kinds):
        return value
    enums = [one for one in kinds if issubclass(one, StrEnum)]
    if isinstance(value, str) and enums:
        if value not in list(enums[0]):
            raise UsageError(f"{typed(name)} {value}: choose of {', '.join(enums[0])}")
        return enums[0](value)
    if type(value) is not bool and hasattr(value, "__float__"):
        if int in kinds and hasattr(value, "__index__"):
            return int(value)
        if float in kinds:
            return float(value)
    wanted = " or ".join("None" if one is NoneType else one.__name__ for one in kinds)
    raise TypeError(f"{name} must be {wanted}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Options(Settings):
    """The options of a method that has none of its own, and the base of those of others.

    Their fields are annotated with flags.
    """

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        """Raise UsageError for options that do not go together, or with the settings that all methods share.

        `is_given` says whether an option was typed.
        """
