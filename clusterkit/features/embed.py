"""Features of the images of a data set by fixed backbones."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image

from clusterkit.config import Context, Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.features.models import Model

BATCH = 32


def embedded(data: Dataset, models: Sequence[Model], context: Context) -> Dataset:
    """Return the set with vectors (N, D) in place of its images: the models' features, each scaled to length one."""
    subsets = tuple(replace(subset, images=features(subset, models)) for subset in data.subsets)
    return replace(data, kind=Kind.VECTORS, subsets=subsets, features=tuple(model.to_header() for model in models))


def features(subset: Subset, models: Sequence[Model]) -> torch.Tensor:
    parts = []
    for model in models:
        network, rows = model.build(), []
        with torch.inference_mode():
            for start in range(0, len(subset), BATCH):
                assert subset.files is not None
                pictures = [Image.open(file).convert("RGB") for file in subset.files[start : start + BATCH]]
                rows.append(network(torch.stack([model.prepare(picture) for picture in pictures])))
        parts.append(torch.cat(rows).float())
    return parts[0].clone() if len(parts) == 1 else torch.cat([F.normalize(part) for part in parts], 1)
