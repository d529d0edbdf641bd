"""The adaptation methods and what each declares. Importing this module imports no heavy package.

A method adds terms to the classification loss on the source. Each term is the class `Term` in the file of its name.
"""

from dataclasses import dataclass, replace

from clusterkit.config import AdaptConfig
from clusterkit.losses import Loss, LossFlag, LossOptions
from clusterkit.settings import DECLARED, Options, options_of


@dataclass(frozen=True, kw_only=True)
class PairOptions(LossOptions):
    """Options of a method that learns from the target's pairs."""

    loss: LossFlag = Loss.KCL


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """A method: its name in tables, the files of its terms, whether it reads the target's pairs, and its options."""

    title: str
    terms: tuple[str, ...] = ()
    pairs: bool = False
    options: type[Options] = Options


ADAPTATIONS: dict[str, Adaptation] = {
    "source-only": Adaptation(title="source-only"),
    "ccn+": Adaptation(title="CCN+", terms=("ccn",), pairs=True, options=PairOptions),
    "dann": Adaptation(title="DANN", terms=("dann",)),
    "ccn++": Adaptation(title="CCN++", terms=("ccn", "dann"), pairs=True, options=PairOptions),
    "jan": Adaptation(title="JAN", terms=("jan",)),
    "jan+ccn": Adaptation(title="JAN and CCN+", terms=("ccn", "jan"), pairs=True, options=PairOptions),
}
"""The methods by name."""
DECLARED["adapt"] = ADAPTATIONS


def with_options(config: AdaptConfig) -> AdaptConfig:
    """Return the settings with the method's options, which are the defaults if the settings have none.

    Raises UsageError for an unknown method, and for options of another one.
    """
    return replace(config, options=options_of(ADAPTATIONS, config.method, config.options))
