"""predict-pairs: what G says of every pair of an unlabelled set T."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Group, write_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.config import Context, PredictPairsConfig
from clusterkit.datasets.catalogue import load_like
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.errors import InputError, UsageError
from clusterkit.metrics.pairs import health
from clusterkit.networks.stored import read_g
from clusterkit.pairs.g import g_pairs
from clusterkit.pairs.stored import to_group

log = logging.getLogger("clusterkit")

OUTPUT = "pairs.h5"


@dataclass(frozen=True)
class PredictPairsResult:
    """`health` holds, by subset, signs of health that need no label."""

    artifact: Path
    dataset: str
    health: dict[str, dict[str, float]]


def run(config: PredictPairsConfig, context: Context) -> PredictPairsResult:
    """Predict all pairs of each subset of the target and write `pairs.h5`.

    Without a data set in the configuration it is the target of the one that G was trained on.
    """
    device = choose_device(context.device)
    g_path = context.path("g.safetensors")
    g_header, network = read_g(g_path)
    name = config.dataset or g_header.extra.get("target")
    if name is None:
        raise UsageError(f"name the data set: {g_header.dataset['name']}, which G was trained on, has no target")
    shape = network.architecture.shape
    data = load_like(name, shape, context.data, offline=context.offline)
    groups: dict[str, Group] = {}
    signs: dict[str, dict[str, float]] = {}
    for subset in data.subsets:
        if len(subset) < 2:
            raise InputError(f"data set {name}: subset {subset.name} holds one image only; there are no pairs")
        pairs = g_pairs(network, subset.to(device), config.bn, device)
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "health", subset.name))
        signs[subset.name] = health(pairs, generator)
        groups[subset.name] = to_group(pairs, subset.ids, config.form)
        shown = " ".join(f"{key} {value:.4f}" for key, value in signs[subset.name].items())
        log.info("predict-pairs %s: %d items, %s", subset.name, len(subset), shown)
    config = replace(config, dataset=data.name)
    fields = data.to_header()
    header = Header(
        "pairs", "predict-pairs", resolved(config), context.seed, describe(device), fields,
        {"g": sha256(g_path)}, {"health": signs, "shape": list(shape)},
    )  # fmt: skip
    output = context.path(OUTPUT)
    write_hdf5(output, header, groups)
    return PredictPairsResult(output, data.name, signs)
