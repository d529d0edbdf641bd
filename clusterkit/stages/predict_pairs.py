"""predict-pairs: predicts every pair of an unlabelled set T with G."""

import logging
import shutil
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Blocks, Group, write_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import RECIPE, check_made_from, follows_recipe, g_of, learned_from, run_key, target_of
from clusterkit.config import Context, Form, PredictPairsConfig, Recipe
from clusterkit.console import size, warn_all
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.grown import DIGEST, name_digest
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.distributed import is_first
from clusterkit.errors import UsageError
from clusterkit.features.load import load_like
from clusterkit.metrics import doubts
from clusterkit.metrics.pairs import health
from clusterkit.networks.read import read_g
from clusterkit.pairs.from_file import DENSE_LIMIT, dense_bytes, is_dense, to_group
from clusterkit.pairs.g import check_has_pairs, g_pairs
from clusterkit.pairs.tile_log import TileLog
from clusterkit.states import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "pairs.h5"


@dataclass(frozen=True)
class PredictPairsResult:
    """`health` holds, by subset, signs of health that need no label."""

    artifact: Path
    dataset: str
    health: dict[str, dict[str, float]]
    warnings: list[str]


def run(config: PredictPairsConfig, context: Context) -> PredictPairsResult:
    """Predict all pairs of each subset of the target and write `pairs.h5`.

    Without `config.dataset` the target is the default target of G's training set. Raises UsageError if the disk is too
    small or the form does not fit G, and InputError for files that are missing, damaged or do not match, or for a
    subset of one item.
    """
    device = choose_device(context.device)
    g_path = context.find(config.g)
    g_header, network = read_g(g_path)
    is_metric = network.architecture.backbone is None
    if is_metric:
        check_form(config.form, g_path)
    if g_path.parent == context.workdir:
        check_made_from(g_header, g_path, "g", g_of(g_header, g_path))
    name = target_of(g_header, config.dataset)
    shape = network.architecture.shape
    data = load_like(name, shape, context, g_header.dataset)
    check_has_pairs(data, name)
    output = context.path(OUTPUT)
    # The pairs of a metric are always stored as its features.
    form = Form.FACTORED if is_metric else config.form
    check_room(data, form, output)
    config = replace(config, dataset=data.name, g=context.settled(config.g))
    fields, inputs = data.to_header(), {"g": sha256(g_path)}
    learned = learned_from(g_header, g_path)
    warn_of_training({"G": learned}, fields)
    states = StateFolder(output, context.resume)
    if is_first() and max(len(subset) for subset in data.subsets) > DENSE_LIMIT:
        states.check_key(run_key("predict-pairs", resolved(config), context.seed, fields, inputs, describe(device)))
    groups: dict[str, Group] = {}
    signs: dict[str, dict[str, float]] = {}
    signs_of_g = doubts.of_g(g_header.extra.get("held_out", {}), g_path)
    warnings = warn_all(signs_of_g + doubts.of_kind(g_path, data.kind, data.title))
    for subset in data.subsets:
        if not (is_first() or is_dense(len(subset), form)):
            continue
        pairs = g_pairs(network, subset.to(device), config.bn, device, states.path if is_first() else None)
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "health", subset.name))
        signs[subset.name] = health(pairs, generator)
        tile_log = TileLog(states.path / f"{subset.name}.tiles") if len(subset) > DENSE_LIMIT else None
        groups[subset.name] = to_group(pairs, subset.ids, form, tile_log, device)
        digest = name_digest(data, subset)
        if digest is not None:
            groups[subset.name] = {**groups[subset.name], DIGEST: digest}
        text = " ".join(f"{key} {value:.4f}" for key, value in signs[subset.name].items())
        log.info("predict-pairs %s: %d items, %s", subset.name, len(subset), text)
        warnings += warn_all(doubts.of_pairs(subset.name, signs[subset.name], len(subset), by_metric=is_metric))
    extra: dict[str, Any] = {"health": signs, "shape": list(shape), "learned_from": learned}
    if follows_recipe(g_header):
        extra[RECIPE] = Recipe.BEST
    if "counting" in (correction := g_header.extra.get("correction", {})):
        extra["counting"] = correction["counting"]
    header = Header("pairs", "predict-pairs", resolved(config), context.seed, describe(device), fields, inputs, extra)
    if is_first():
        write_hdf5(output, header, groups)
    else:
        work_out(groups)
    states.remove()
    return PredictPairsResult(output, data.name, signs, warnings)


def work_out(groups: dict[str, Group]) -> None:
    """Compute this process's part of the logits that the first process writes."""
    for group in groups.values():
        for values in group.values():
            if isinstance(values, Blocks):
                deque(values.blocks, maxlen=0)


def check_form(form: Form, g_path: Path) -> None:
    """Raise UsageError if the form of stored pairs is not one of a metric."""
    if form is Form.DENSE:
        raise UsageError(
            f"--form {form}: {g_path} is a metric of fixed features, whose pairs are stored as features; leave it out"
        )


def check_room(data: Dataset, form: Form, output: Path) -> None:
    """Raise UsageError if the logits of the dense form do not fit on the disk."""
    needed = sum(dense_bytes(len(subset)) for subset in data.subsets if is_dense(len(subset), form))
    folder = next(folder for folder in output.absolute().parents if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"--form {form}: {output} would take {size(needed)}, but only {size(free)} are free; use --form factored"
        )
