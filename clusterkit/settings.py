"""Settings whose text has several meanings: they are parsed here, and only here, into values of distinct types.

`str` of a value returns the typed text, for messages and headers.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Protocol, get_args, get_origin

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
    if not (text.isascii() and text.isdecimal() and int(text) >= 2):
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


@dataclass(frozen=True)
class OnlyConstraints:
    """No pairs but the user's own must-links and cannot-links."""

    def __str__(self) -> str:
        return "constraints"


Pairs = File | TruePairs | NoisyPairs | OnlyConstraints


def parse_pairs(text: str) -> Pairs:
    """Return the value of `--pairs`. Raises UsageError for `simulated:` without two or three numbers in 0..1."""
    if text == str(TruePairs()):
        return TruePairs()
    if text == str(OnlyConstraints()):
        return OnlyConstraints()
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


LIBRARIES = ("timm", "torchvision", "clusterkit")
"""The libraries of fixed backbones."""


@dataclass(frozen=True)
class Fixed:
    """Backbones that are not trained, such as `timm:NAME`; the features of several are concatenated."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join(self.names)


def parse_fixed(text: str) -> Fixed:
    """Return the value of `timm:NAME+torchvision:NAME`. Raises UsageError for a name of no library, or named twice."""
    names = tuple(text.split("+"))
    for name in names:
        library, _, model = name.partition(":")
        if library not in LIBRARIES or not model:
            raise UsageError(
                f"--backbone {text}: write timm:NAME, torchvision:NAME or clusterkit:characters, and join several by +"
            )
    if len(set(names)) < len(names):
        raise UsageError(f"--backbone {text}: names a backbone twice; leave one out")
    return Fixed(names)


class Init(StrEnum):
    """The start of a clustering network, unless a file names it: random weights, or the frozen backbone of G."""

    RANDOM = "random"
    G = "g"


def parse_init(text: str) -> Init | File:
    """Return the value of `--init`."""
    return Init(text) if text in list(Init) else File(text)


class Task(StrEnum):
    """What `pretrain` learns to tell apart: the classes of a set, or the four rotations of every image (RotNet)."""

    CLASSES = "classes"
    ROTATION = "rotation"


class Graph(StrEnum):
    """What a critic joins by edges: all points of a cluster, or also each point and its nearest neighbours in it."""

    CLIQUE = "clique"
    NEIGHBOURS = "neighbours"


class Placing(StrEnum):
    """How `report` puts pictures into the folders of their clusters."""

    COPY = "copy"
    LINK = "link"
    MOVE = "move"


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


READERS: dict[Any, Callable[[str], Any]] = {
    K: parse_k,
    Pairs: parse_pairs,
    Features | File | None: parse_features,
    Path: Path,
    Path | None: Path,
}
"""The functions that parse the text of a setting, by the type of the setting."""


LEAST = {
    "seed": 0, "learning_rate": 0, "epochs": 1, "rounds": 1, "steps": 1, "hidden": 1, "members": 1, "size": 8,
    "drop_every": 1, "episodes": 1, "batch_size": 2, "classes_per_batch": 2, "images_per_class": 2, "source_batch": 2,
    "target_batch": 2, "fine_tune": 1, "gradient_penalty": 0,
}  # fmt: skip
"""The smallest values of settings that are numbers and have no flag of their own, by name."""
MOST_SEED = 2**63 - 1
"""The largest seed that PyTorch takes."""
MOST_SIZE = 2048
"""The largest side in pixels of the pictures that a fixed backbone reads, for which one picture fits in memory."""


class Settings:
    """The base class of settings: a Python program may give values that are no numbers as text."""

    def __post_init__(self) -> None:
        """Parse text. Raises UsageError for a value that is not allowed, and TypeError for a value of another type."""
        for name, kind, flag in declared(type(self)):
            read = flag.read if flag is not None and flag.read is not None else READERS.get(kind)
            value = getattr(self, name)
            value = str(value) if isinstance(value, Path) else value
            if read is not None and isinstance(value, str) and not isinstance(value, StrEnum):
                value = read(value)
            value = of_kind(name, value, kind)
            check(name, value, flag)
            object.__setattr__(self, name, value)


def check(name: str, value: Any, flag: Flag | None) -> None:
    """Raise UsageError for a number outside the range of a setting, and for a word that is none of its choices."""
    least, most = (flag.min, flag.max) if flag is not None else (LEAST.get(name), MOST_SEED if name == "seed" else None)
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise UsageError(f"{typed(name)} {value}: give a finite number")
        if least is not None and value < least:
            raise UsageError(f"{typed(name)} {value}: give a number from {least}")
        if most is not None and value > most:
            raise UsageError(f"{typed(name)} {value}: give a number up to {most}")
    if flag is not None and flag.choices is not None and value is not None:
        for word in value if isinstance(value, tuple) else (value,):
            if word not in flag.choices:
                raise UsageError(f"{typed(flag.name or name)} {word}: choose one of {', '.join(flag.choices)}")


def declared(settings: type) -> Iterator[tuple[str, Any, Flag | None]]:
    """Yield the name, the type and the flag, if any, of each field of a dataclass of settings."""
    for field in fields(settings):
        kind, flag = get_args(field.type) if get_origin(field.type) is Annotated else (field.type, None)
        yield field.name, kind, flag


def typed(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


def of_kind(name: str, value: Any, kind: Any) -> Any:
    """Return the value of a setting in the type of the setting; text becomes a member of an enumeration.

    Raises UsageError for text that names no member, and TypeError for a value of another type.
    """
    kinds = [get_origin(part) or part for part in (get_args(kind) if isinstance(kind, UnionType) else (kind,))]
    # A bool counts as an int to Python, but is no number of anything.
    if isinstance(value, tuple(kinds)) and (type(value) is not bool or bool in kinds):
        return value
    enums = [part for part in kinds if issubclass(part, StrEnum)]
    if isinstance(value, str) and enums:
        if value not in list(enums[0]):
            raise UsageError(f"{typed(name)} {value}: choose one of {', '.join(enums[0])}")
        return enums[0](value)
    if type(value) is not bool and hasattr(value, "__float__"):
        if int in kinds and hasattr(value, "__index__"):
            return int(value)
        if float in kinds:
            return float(value)
    names = " or ".join("None" if part is NoneType else part.__name__ for part in kinds)
    raise TypeError(f"{name} must be {names}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Options(Settings):
    """The base class of the options of methods, and the options of methods without any.

    Each field of a subclass is annotated with its `Flag`.
    """

    def check(self, config: Any, is_given: Callable[[str], bool]) -> None:
        """Raise UsageError for options that contradict each other or the settings in `config`.

        `is_given` returns whether the named option was typed.
        """


class Declares(Protocol):
    """What every declaration of a method has: the class of its options."""

    @property
    def options(self) -> type[Options]: ...


DECLARED: dict[str, Mapping[str, Declares]] = {}
"""The methods of each stage that has any. Their packages enter them, so that messages below know the defaults."""


def options_of(declared: Mapping[str, Declares], method: str, options: object) -> Options:
    """Return the options of a method, which are its defaults for None.

    Raises UsageError for an unknown method, and for options of another one.
    """
    if method not in declared:
        raise UsageError(f"--method {method}: choose one of {', '.join(declared)}")
    kind = declared[method].options
    if options is None:
        return kind()
    if not isinstance(options, Options):
        raise TypeError(f"options must be {kind.__name__} for --method {method}, not {options!r}")
    if type(options) is not kind:
        raise UsageError(f"options: --method {method} takes {kind.__name__}, not {options!r}")
    return options
