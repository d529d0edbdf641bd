"""The backbone and the head of G for the kind of a data set, where the user names none."""

from dataclasses import replace

from clusterkit import console
from clusterkit.config import PHOTOS, Backbone, Context, Head, Kind, TrainGConfig
from clusterkit.errors import UsageError
from clusterkit.settings import Fixed, typed

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


def with_backbone(config: TrainGConfig, name: str, kind: Kind | None, context: Context) -> TrainGConfig:
    """Return the settings with the backbone for the set `name`, which is a fixed one for photos.

    It stays None for the metric of a set of vectors, and for a `kind` of None, which is not known before the set is
    read. Raises UsageError for flags that contradict each other.
    """
    if config.backbone is None and kind is Kind.PHOTOS and not config.pretrained:
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
        return config
    return config if config.backbone is not None else replace(config, backbone=Backbone.CONV4)
