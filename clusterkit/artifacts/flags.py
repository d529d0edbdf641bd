"""The flags that give the settings in a header."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from clusterkit.artifacts.header import Header, resolved
from clusterkit.config import (
    AdaptConfig,
    AssignConfig,
    ClusterConfig,
    Context,
    EmbedConfig,
    PredictPairsConfig,
    PretrainConfig,
    SelfTrainConfig,
    TrainCriticConfig,
    TrainGConfig,
)
from clusterkit.settings import DECLARED, typed

CONFIGS: dict[str, type[Any]] = {
    "pretrain": PretrainConfig,
    "train-g": TrainGConfig,
    "self-train": SelfTrainConfig,
    "embed": EmbedConfig,
    "predict-pairs": PredictPairsConfig,
    "cluster": ClusterConfig,
    "assign": AssignConfig,
    "adapt": AdaptConfig,
    "train-critic": TrainCriticConfig,
}
"""The settings of each stage whose artifacts other stages read."""
REQUIRED = {kind: [field.name for field in fields(kind) if field.default is MISSING] for kind in CONFIGS.values()}
"""The settings without a default."""
UNTYPED = {"dataset", "others", "target", "files", "automatic"}
"""Settings without a flag. The source has one in `cluster`, but not in `adapt`, which also has a target."""


def settings_of(header: Header) -> dict[str, Any]:
    """Return the settings of a run by name, with those of its method beside the others."""
    options = header.config.get("options")
    named = {name: value for name, value in header.config.items() if name != "options"}
    return {**named, **(options if isinstance(options, dict) else {}), "seed": header.seed}


def typed_settings(header: Header) -> dict[str, Any]:
    """Return `settings_of` a run, with the paths of its weights, of which the settings have bare names."""
    weights = [
        entry["weights"].partition(":")[2] for entry in header.dataset.get("features") or [] if "weights" in entry
    ]
    return settings_of(header) | ({"weights": weights} if weights else {})


def unusual(header: Header) -> list[str]:
    """Return the settings of a run that have a flag and differ from their defaults, by name."""
    kind = CONFIGS.get(header.stage)
    if kind is None:
        return []
    usual = {**resolved(kind(**dict.fromkeys(REQUIRED[kind], ""))), "seed": Context.seed}
    method = DECLARED.get(header.stage, {}).get(str(header.config.get("method")))
    usual |= {} if method is None else resolved(method.options())
    flags = usual.keys() - UNTYPED - set(REQUIRED[kind])
    return [name for name, value in settings_of(header).items() if name in flags and value != usual[name]]


def words_of(settings: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return what is typed for the named settings; None, which no flag gives, is left out."""
    words = []
    for name in names:
        match settings[name]:
            case None:
                continue
            case bool(value):
                words.append(typed(name if value else f"no-{name}"))
            case list(values):
                words += [word for value in values for word in (typed(name), str(value))]
            case value if name in UNTYPED or (name == "source" and "target" in settings):
                words.append(str(value))
            case value:
                words += [typed(name), str(value)]
    return words
