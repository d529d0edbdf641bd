"""The recipes of G by the kind of a data set: its backbone, head and training, where the user names none."""

from dataclasses import replace
from typing import Any

from clusterkit import console
from clusterkit.config import PHOTOS, Backbone, Context, Head, Kind, Recipe, TrainGConfig, Variation
from clusterkit.errors import UsageError
from clusterkit.settings import Fixed, typed

PAPER: dict[str, Any] = {
    "backbone": Backbone.CONV4, "epochs": 16, "learning_rate": 1e-3, "variation": Variation.MILD,
}  # fmt: skip
"""The training of G in the papers (L2C, section 5), also that of the best recipe where there is no better one."""
BEST_FOR_CHARACTERS: dict[str, Any] = {
    "backbone": Backbone.CONV4_FINE, "size": 64, "epochs": 60, "learning_rate": 3e-3, "variation": Variation.STRONG,
}  # fmt: skip
"""The best training of G on characters; more epochs are slightly better."""
TRAINING = (
    "hidden", "members", "epochs", "classes_per_batch", "images_per_class", "learning_rate", "variation", "precision",
)  # fmt: skip
"""Settings of a training, which a metric does not have."""


def is_fixed(config: TrainGConfig) -> bool:
    """Return whether the backbone is fixed."""
    return isinstance(config.backbone, Fixed)


def has_metric(config: TrainGConfig) -> bool:
    """Return whether G is a metric: on a fixed backbone, unless another head is named, and where it is named."""
    return config.head is Head.METRIC or (config.head is None and is_fixed(config))


def is_best_for_characters(config: TrainGConfig, kind: Kind) -> bool:
    """Return whether G is one of characters by the best recipe, which is self-trained before it predicts pairs."""
    return config.recipe is Recipe.BEST and kind is Kind.CHARACTERS and not is_fixed(config)


def with_training(config: TrainGConfig, kind: Kind) -> TrainGConfig:
    """Return the settings with what the recipe has for every setting that is None.

    With `config.init`, the backbone and size stay None, as they are those of the file; with a fixed backbone the
    variation does, as features are not varied.
    """
    recipe = BEST_FOR_CHARACTERS if is_best_for_characters(config, kind) else PAPER
    left = ("backbone", "size") if config.init is not None else ("variation",) if is_fixed(config) else ()
    return replace(
        config,
        **{name: value for name, value in recipe.items() if getattr(config, name) is None and name not in left},
    )


def with_backbone(config: TrainGConfig, name: str, kind: Kind | None, context: Context) -> TrainGConfig:
    """Return the settings with the backbone and the training that the recipe has for the set `name`.

    They stay None for a metric, and for a `kind` of None, which is not known before the set is read. Raises UsageError
    for flags that contradict each other.
    """
    is_best = config.recipe is Recipe.BEST and not config.pretrained
    if config.backbone is None and kind is Kind.PHOTOS and is_best:
        console.once("--backbone %s is used, as %s holds photos", PHOTOS, name)
        config = replace(config, backbone=PHOTOS)
    if config.backbone is None and kind is None:
        return config
    vectors = kind is Kind.VECTORS
    if config.weights and not is_fixed(config):
        raise UsageError("--weights: belongs to fixed backbones; name them with --backbone timm:NAME, or leave it out")
    if is_fixed(config) and config.pretrained:
        raise UsageError(f"--pretrained: {config.backbone} has weights of its own; leave it out")
    if is_fixed(config) and vectors:
        raise UsageError(f"--backbone {config.backbone}: reads images, but {name} holds vectors; leave it out")
    if config.head is Head.METRIC and not is_fixed(config) and (config.backbone is not None or not vectors):
        raise UsageError(
            "--head metric: corrects features; use --backbone timm:NAME or a set of vectors, or leave it out"
        )
    if has_metric(config):
        trained = Backbone.MLP if vectors else Backbone.CONV4
        for setting in TRAINING:
            if context.is_given(config, setting):
                raise UsageError(
                    f"{typed(setting)}: a metric of fixed features is not trained in steps; leave it out or use "
                    f"--head pair; --backbone {trained} trains a network"
                )
        if context.resume:
            raise UsageError("--resume: a metric of fixed features is not trained in steps; leave it out")
        return config
    if is_fixed(config) and context.is_given(config, "variation"):
        raise UsageError(
            f"--variation {config.variation}: changes pictures, but a pair head on {config.backbone} learns from "
            "features; leave it out"
        )
    if config.unlabelled and (is_fixed(config) or kind is not None):
        advice = "--head metric" if is_fixed(config) or vectors else "a fixed --backbone"
        raise UsageError(f"--unlabelled: a pair head learns from labels; use {advice}, or leave it out")
    return config if kind is None else with_training(config, kind)
