"""The probe classes of estimate-k, and their features by the network that predicted the pairs of T."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Array
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import learned_from
from clusterkit.config import BatchNorm, Context
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.grown import DIGEST, check_content
from clusterkit.datasets.overlap import overlap
from clusterkit.device import choose_device, derive_seed
from clusterkit.errors import InputError
from clusterkit.features.load import load_like, load_recorded
from clusterkit.methods.common import sample
from clusterkit.methods.common.g_features import on_target
from clusterkit.methods.common.problem import Items
from clusterkit.methods.common.solve import values
from clusterkit.metrics.probe_k import FEWEST, probe_estimate
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.read import read_g
from clusterkit.networks.start import path_of_g

log = logging.getLogger("clusterkit")


@dataclass(frozen=True)
class Probe:
    """Items of probe classes `data`, and the `target` with the G and the statistics `bn` of its pairs.

    `fields` is the header entry of the whole probe set, and `inputs` has the hash of G. `warnings` tell if G has
    learned the labels of the probe classes.
    """

    fields: dict[str, Any]
    data: Subset
    target: Dataset
    g: SimilarityNet
    bn: BatchNorm
    inputs: dict[str, str]
    warnings: list[str]

    def estimate(self, title: str, most: int, context: Context) -> int:
        """Return K of one subset by `probe_estimate` with up to `most` new clusters.

        Both the target and the probe are represented by G as it predicted the pairs of this subset: with `--bn target`
        by the statistics of the subset, or the metric fitted to it. At most LARGEST random items of each are used.
        """
        device, seed = choose_device(context.device), derive_seed(context.seed, "probe", title)
        [subset] = [subset for subset in self.target.subsets if subset.name == title]
        network = on_target(self.g, subset, self.bn, device)
        order = torch.randperm(len(subset), generator=torch.Generator().manual_seed(seed))
        target, probe = (
            values(Items(subset=part, kind=self.target.kind, shape=self.target.shape, start=network), device)
            for part in (subset.take(order[: sample.LARGEST]), self.data)
        )
        assert self.data.labels is not None
        best = probe_estimate(target, probe, self.data.labels.numpy(), most, seed)
        log.info(
            "estimate-k %s: probe %d, by the mean of %d (silhouette) and %d (ACC of kept-out classes of %s) of up to "
            "%d new clusters",
            title, best.k, best.by_silhouette, best.by_accuracy, self.fields["name"], most,
        )  # fmt: skip
        return best.k


def read_probe(
    name: str, header: Header, path: Path, groups: Mapping[str, Mapping[str, Array]], context: Context
) -> Probe:
    """Read the probe classes that `--probe` names, and the set and the G of the pairs in the file `path`.

    Raises UsageError or InputError for a set that cannot be read, shares images with the target, or has fewer than
    FEWEST classes of two items, and InputError if G or the target's content is not that of the pairs.
    """
    g_path = path_of_g(context, (header, path), "--probe")
    g_header, g = read_g(g_path)
    target = load_recorded(header.dataset, context, path)
    check_content(header, path, target, (group.get(DIGEST) for group in groups.values()))
    data = load_like(name, g.architecture.shape, context, g_header.dataset)
    fields = data.to_header()
    if overlap(fields, header.dataset):
        raise InputError(
            f"--probe {data.name}: has images of {target.name}, whose categories are counted; name other classes"
        )
    learned = [entry["name"] for entry in learned_from(header, path) if overlap(entry, fields)]
    warnings = [] if not learned else [
        f"--probe {data.name}: G learned the labels of these classes ({', '.join(learned)}), so it tells them apart "
        "better than the target's, and the estimate `probe` is biased; name classes that G has not learned"
    ]  # fmt: skip
    items = chosen_items(data, context.seed)
    return Probe(
        data.to_learned(), items, target, g, BatchNorm(header.config.get("bn", BatchNorm.TARGET)),
        {"g": sha256(g_path)}, warnings,
    )  # fmt: skip


def chosen_items(data: Dataset, seed: int) -> Subset:
    """Return random labelled items of the classes of two items and more: equally many of each, at most LARGEST in all.

    Two items of each class are kept, however many classes there are. Raises InputError for fewer than FEWEST classes.
    """
    labelled = data.labelled()
    items = labelled.union()
    # A single class gets the error for too few.
    labels = labelled.labels_for("estimate-k --probe") if labelled.labels is None else labelled.labels
    names, sizes = labels.unique(return_counts=True)
    single = int((sizes < 2).sum())
    if single:
        log.info("estimate-k: %s: %d classes of one item are left out", data.name, single)
    names = names[sizes > 1]
    if len(names) < FEWEST:
        classes = "class" if len(names) == 1 else "classes"
        raise InputError(
            f"--probe {data.name}: has {len(names)} {classes} of two items or more; name at least {FEWEST}, which "
            "are split into anchors and validation classes"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, "probe"))
    order = torch.randperm(len(labels), generator=generator)
    each = max(2, sample.LARGEST // len(names))
    return items.take(torch.cat([order[labels[order] == name][:each] for name in names]))
