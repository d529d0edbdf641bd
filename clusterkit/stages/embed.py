"""embed: turns the pictures of a set into features by fixed backbones."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.features import FeatureSet, write_features
from clusterkit.artifacts.files import check_place
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import learned_by
from clusterkit.config import Context, EmbedConfig
from clusterkit.console import warn_all
from clusterkit.datasets.grown import name_digest
from clusterkit.device import choose_device, describe
from clusterkit.distributed import first_alone, is_first
from clusterkit.features.embed import embed
from clusterkit.features.load import load_dataset
from clusterkit.features.models import find_models

log = logging.getLogger("clusterkit")

OUTPUT = "features.h5"


@dataclass(frozen=True)
class EmbedResult:
    """Of the `items`, `new` were embedded now, the features of `kept` were on disk, and `copies` equal another one.

    `width` is the number of features, and `backbones` are names and licences.
    """

    artifact: Path
    dataset: str
    items: int
    new: int
    kept: int
    copies: int
    width: int
    backbones: list[dict[str, Any]]
    warnings: list[str]


def run(config: EmbedConfig, context: Context) -> EmbedResult:
    """Write the features of all items to `features.h5`.

    Raises UsageError for backbones or a size that do not fit, and InputError for weights or a data set that are missing
    or damaged, for a set of vectors, and for a disk that is too small.
    """
    device = choose_device(context.device)
    output = context.path(OUTPUT)
    with first_alone():
        models = find_models(config.backbone, config.weights, context, config.size)
    data = load_dataset(config.dataset, context, whole=True)
    width = sum(model.width for model in models)
    check_place(output, 4 * len(data) * width)
    done = embed(data, models, context)
    log.info("%s", done.count)
    data = done.data
    learned = learned_by(data.features)
    header = Header(
        "features", "embed", resolved(replace(config, dataset=data.name)), context.seed, describe(device),
        data.to_header(), extra={"learned_from": learned} if learned else {},
    )  # fmt: skip
    subsets = {
        subset.name: FeatureSet(subset.ids.numpy(), torch.cat(list(subset.blocks())).numpy(), name_digest(data, subset))
        for subset in data.subsets
    }
    if is_first():
        write_features(output, header, subsets)
    return EmbedResult(
        artifact=output,
        dataset=data.name,
        items=len(data),
        new=done.new,
        kept=done.kept,
        copies=done.copies,
        width=width,
        backbones=[{"name": model.name, "licence": model.licence} for model in models],
        warnings=warn_all(list(done.warnings)),
    )
