"""Settings whose text has several meanings: they are parsed here, and only here, into values of distinct types.

`str` of a value returns the typed text, for messages and headers.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clusterkit.errors import UsageError


@dataclass(frozen=True)
class File:
    """A file as the value of a setting that also has values which are not files."""

    name: str

    def __str__(self) -> str:
        return self.name


class CountedBy(StrEnum):
    """The source of K if it is not a number: the estimate of `estimate-k`, or an oracle that counts T's classes."""

    ESTIMATE = "auto"
    LABELS = "known"


K = int | CountedBy


def parse_k(text: str) -> K:
    """Return the value of `--k`. Raises UsageError unless it is a number from 2, `auto` or `known`."""
    if text in list(CountedBy):
        return CountedBy(text)
    if not (text.isdecimal() and int(text) >= 2):
        raise UsageError(
            f"--k {text}: give a number from 2, auto, or known (an oracle: it counts the target's classes)"
        )
    return int(text)


@dataclass(frozen=True)
class TruePairs:
    """The pairs of the target's true labels, for supervised studies."""

    def __str__(self) -> str:
        return "labels"


SIMULATED = "simulated:"


@dataclass(frozen=True)
class NoisyPairs:
    """True pairs with simulated errors: the recalls of similar and dissimilar pairs, and the share of pairs used."""

    similar_recall: float
    dissimilar_recall: float
    density: float = 1.0

    def __str__(self) -> str:
        shares = (self.similar_recall, self.dissimilar_recall, self.density)
        return SIMULATED + ",".join(f"{share:g}" for share in shares[: 3 if self.density < 1 else 2])


Pairs = File | TruePairs | NoisyPairs


def parse_pairs(text: str) -> Pairs:
    """Return the value of `--pairs`. Raises UsageError for `simulated:` without two or three numbers in 0..1."""
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
        raise UsageError(f"--pairs {text}: DENSITY is 0, so no pairs are left; give a number above 0")
    return pairs


class Features(StrEnum):
    """The features of the items, unless a file names them: their pixels, or the features of G or of a CCN."""

    PIXELS = "pixels"
    G = "g"
    CCN = "ccn"


def parse_features(text: str) -> Features | File:
    """Return the value of `--features`."""
    return Features(text) if text in list(Features) else File(text)


class Init(StrEnum):
    """The start of a clustering network, unless a file names it: random weights, or the frozen backbone of G."""

    RANDOM = "random"
    G = "g"


def parse_init(text: str) -> Init | File:
    """Return the value of `--init`."""
    return Init(text) if text in list(Init) else File(text)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The base class of the options of methods, and the options of methods without any.

    Each field of a subclass is annotated with its `Flag`.
    """

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        """Raise UsageError for options that contradict each other or the settings in `config`.

        `is_given` returns whether the named option was typed.
        """


@dataclass(frozen=True, kw_only=True)
class Flag:
    """The flag of an option: its help, and a function that parses its text if the type alone does not.

    A field whose type is a tuple is a flag that may be repeated. `name` replaces the name of the field, and `default`
    the field's default in the help. A flag with `choices` takes these words only.
    """

    help: str
    name: str | None = None
    read: Callable[[str], Any] | None = None
    choices: Collection[str] | None = None
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    default: str | None = None
