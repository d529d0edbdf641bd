"""The network that a clustering starts from, or whose features represent the items."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterkit.artifacts.features import FeatureSet, read_features
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.lineage import Learned, again, check_dataset, g_of, learned_from
from clusterkit.config import G_FILE, Context
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.grown import check_content
from clusterkit.errors import InputError
from clusterkit.features.load import load_dataset
from clusterkit.networks.build import BackboneNet, ClusterNet, SimilarityNet
from clusterkit.networks.read import read_cluster_nets, read_g, read_start
from clusterkit.settings import Features, File, Init

CCN_FILE = "ccn.safetensors"


@dataclass(frozen=True)
class Start:
    """The network of a run, if it has one, with the hashes of the files read.

    `network` is that of a file, `g` the G that predicted the pairs, and `by_subset` the networks of an earlier
    `cluster` on the data set of the run. `header` and `path` are those of the network's file. `learned` says whose
    labels the network learned from. `features` are those of a file of `embed`, by subset, in place of a network.
    """

    inputs: dict[str, str] = field(default_factory=dict)
    network: BackboneNet | None = None
    g: SimilarityNet | None = None
    by_subset: dict[str, ClusterNet] | None = None
    header: Header | None = None
    path: Path | None = None
    learned: Learned = field(default_factory=dict)
    features: dict[str, FeatureSet] | None = None

    @property
    def any(self) -> BackboneNet | None:
        return self.network or self.g or next(iter((self.by_subset or {}).values()), None)

    def of(self, subset: Subset) -> BackboneNet | None:
        """Return the network of a subset, other than G."""
        return self.network if self.by_subset is None else self.by_subset[subset.name]

    def width(self, data: Dataset) -> int:
        """Return the number of values that represent an item."""
        if self.features is not None:
            return int(next(iter(self.features.values())).x.shape[1])
        return math.prod(data.shape) if self.any is None else self.any.backbone.features

    def items(self, subset: Subset) -> Subset:
        """Return a subset with the features of the file of `embed` in place of its items, or as it is without one."""
        if self.features is None:
            return subset
        return replace(subset, images=torch.from_numpy(self.features[subset.name].x))

    def check_data(self, data: Dataset, context: Context) -> None:
        """Raise InputError if features, or the networks of an earlier `cluster`, are of other data."""
        if self.features is not None and self.header is not None and self.path is not None:
            check_features(self.features, self.header, self.path, data, context)
        if self.by_subset is None or self.header is None or self.path is None:
            return
        check_dataset(self.header, self.path, data.name, data.fingerprint, data.reading)
        for subset in data.subsets:
            if subset.name not in self.by_subset:
                command = again(self.header, self.path, data.name, data.reading)
                raise InputError(f"{self.path}: has no network of {subset.name}; run: {command}")


def read_network(
    features: Features | File | None, init: Init | File | None, context: Context, pairs: tuple[Header, Path] | None
) -> Start:
    """Read the network that `--features` or `--init` names. `pairs` is the header and path of the pairs, if any."""
    if features is Features.CCN:
        path = context.path(CCN_FILE)
        header, networks = read_cluster_nets(path)
        learned = {path.name: learned_from(header, path)}
        return Start({"features": sha256(path)}, by_subset=networks, header=header, path=path, learned=learned)
    if features is Features.G or (init is Init.G and pairs is not None):
        path = path_of_g(context, pairs)
        # Read before hashing: the error of `read_g` says how to make a missing file.
        header, g = read_g(path)
        return Start({"g": sha256(path)}, g=g, header=header, learned={"G": learned_from(header, path)})
    for name, value in (("features", features), ("init", init)):
        if isinstance(value, File):
            path = context.find(value.name)
            if name == "features" and path.suffix == ".h5":
                header, subsets = read_features(path)
                learned = {path.name: learned_from(header, path)}
                return Start({name: sha256(path)}, header=header, path=path, features=subsets, learned=learned)
            header, network = read_start(path)
            learned = {path.name: learned_from(header, path)}
            return Start({name: sha256(path)}, network=network, header=header, path=path, learned=learned)
    return Start()


def check_features(
    features: dict[str, FeatureSet], header: Header, path: Path, data: Dataset, context: Context
) -> None:
    """Raise InputError if a file of features was made from another data set, or by another backbone than the data."""
    if header.dataset.get("fingerprint") != data.fingerprint:
        # The same pictures have another fingerprint if they are read in the size of a trained network.
        context = replace(context, reading=data.reading)
        pictures = load_dataset(data.name, context, whole=True)
        check_content(header, path, pictures, (subset.name_digest for subset in features.values()))
    if data.features and contents(data.features) != contents(header.dataset.get("features", [])):
        names = "+".join(entry["name"] for entry in data.features)
        raise InputError(
            f"{path}: holds features by other backbones than the pairs; run: clusterkit embed {data.name} "
            f"--backbone {names}, with the weights and size of the pairs"
        )
    for subset in data.subsets:
        if subset.name not in features or not np.array_equal(features[subset.name].id, subset.ids.numpy()):
            command = again(header, path, data.name, data.reading)
            raise InputError(f"{path}: holds features of other items than {data.name}; run: {command}")


def contents(models: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the header entries of fixed backbones without the paths of their weights, which the sha256 names too."""
    return [{key: value for key, value in entry.items() if key != "weights"} for entry in models]


def path_of_g(context: Context, pairs: tuple[Header, Path] | None, flags: str = "--init g and --features g") -> Path:
    """Return the path of the G that predicted the pairs or, without pairs, of the G in the work folder.

    Raises InputError if the G that predicted the pairs, which `flags` need, is not beside them.
    """
    if pairs is None:
        return context.path(G_FILE)
    header, file = pairs
    path = g_of(header, file)
    if not (path.exists() and sha256(path) == header.inputs.get("g")):
        raise InputError(
            f"{file}: the {path.name} that predicted it is not beside it; put it there, or leave out {flags}"
        )
    return path
