"""cluster: from pairs to clusters, one problem a subset."""

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clusterkit.artifacts.assignments import Assignment, write_assignments, write_with_network
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import Array, read_hdf5
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import read_json
from clusterkit.artifacts.lineage import (
    again,
    all_used,
    beside_training,
    check_dataset,
    check_made_from,
    distinct,
    g_of,
    learned_from,
    run_key,
)
from clusterkit.augment import check_variation
from clusterkit.config import G_FILE, BatchNorm, ClusterConfig, Context, Features, Init, Loss, Method, Precision
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_dataset, load_like
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import check_precision, choose_device, derive_seed, describe
from clusterkit.distributed import first_alone, is_first
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import METHODS
from clusterkit.methods.common.cost import check_cost
from clusterkit.methods.common.problem import Clustering, Problem, solve
from clusterkit.networks.build import BackboneNet, ClusterNet, SimilarityNet
from clusterkit.networks.read import read_cluster_nets, read_g, read_start, state_of
from clusterkit.pairs.constraints import constrain, read_constraints
from clusterkit.pairs.from_file import from_group
from clusterkit.pairs.labels import LabelPairs
from clusterkit.pairs.simulated import PREFIX, SimulatedPairs, parse_simulated
from clusterkit.pairs.source import PairSource
from clusterkit.training import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "assignments.h5"
NETWORK = "ccn.safetensors"
ESTIMATES = "k.json"


Learned = dict[str, list[dict[str, Any]]]
"""By the name of a network, the `dataset` objects of the sets whose labels it learned from."""


@dataclass(frozen=True)
class ClusterResult:
    """`clusters` holds, by subset, how many clusters are not empty."""

    artifact: Path
    dataset: str
    clusters: dict[str, int]
    network: Path | None = None


def run(config: ClusterConfig, context: Context) -> ClusterResult:
    """Sort each subset into at most K clusters; write `assignments.h5` and, for a network, `ccn.safetensors`."""
    check_flags(config, context)
    device = choose_device(context.device)
    given = read_pairs(config, context)
    network = read_network(config, context, given)
    with first_alone():
        data = load_for(config, context, given, network)
        network.check_data(data)
    check_variation(config.variation, data.kind, data.name)
    config = replace(config, dataset=data.name)
    constraints = [] if config.constraints is None else read_constraints(config.constraints)
    check_constraints(constraints, data, config)
    fields = data.to_header()
    if config.k == "known":
        log.info("cluster: --k known is an oracle, it counts the classes among the labels of %s", data.name)
    estimates, counted, behind = read_estimates(config, context, given)
    inputs = {**given.inputs, **network.inputs, **counted}
    learned = together(behind, given.learned(config), network.learned)
    trained = warn_of_training(learned, fields, *([] if given.header is None else [given.header.dataset]))
    ks = {subset.name: number_of_clusters(config, subset, data.name, estimates) for subset in data.subsets}
    for subset in data.subsets:
        whole = data.name if len(data.subsets) == 1 else f"{data.name}, {subset.name}"
        check_cost(config, whole, len(subset), network.width(data), ks[subset.name])
    sources = {subset.name: given.source(subset, config, context.seed) for subset in data.subsets}
    states = StateFolder(context.path(OUTPUT), context.resume)
    counts_labels = from_labels(config) or config.k == "known"
    own = data.to_learned() if counts_labels else fields
    key = run_key("cluster", resolved(config), context.seed, own, inputs, describe(device))
    results: dict[str, Clustering] = {}
    for subset in data.subsets:
        source, k = sources[subset.name], ks[subset.name]
        pairs = None if source is None else constrain(source, subset.ids, constraints)
        problem = Problem(
            subset, data.kind, data.shape, k, pairs, config, context.seed, device,
            states.file(subset.name), key, context.resume, network.g, given.bn, network.of(subset),
        )  # fmt: skip
        result = results[subset.name] = solve(METHODS[config.method], problem)
        if result.network is not None:
            result.network.cpu()  # the device has room for the next
        log.info("cluster %s: %d items in %d clusters", subset.name, len(subset), result.found)

    networks = {title: result.network for title, result in results.items() if result.network is not None}
    extra: dict[str, Any] = {"uses_target_labels": uses_labels(config, network, trained), "classes": None}
    if counts_labels:
        extra["learned_from"] = [own]
    path, ccn_path = context.path(OUTPUT), context.path(NETWORK)
    header = Header("assignments", "cluster", resolved(config), context.seed, describe(device), fields, inputs, extra)
    assignments = {
        subset.name: Assignment(subset.ids.numpy(), results[subset.name].cluster, results[subset.name].prob)
        for subset in data.subsets
    }
    if networks and is_first():
        architectures = {title: network.architecture.to_header() for title, network in networks.items()}
        sets = distinct(*learned.values(), [own] if from_labels(config) else [])
        ccn_header = replace(header, format="ccn", extra={**extra, "networks": architectures, "learned_from": sets})
        write_with_network(path, header, assignments, ccn_path, ccn_header, state_of(networks))
    elif is_first():
        write_assignments(path, header, assignments)
    states.remove()
    counts = {title: result.found for title, result in results.items()}
    return ClusterResult(path, data.name, counts, ccn_path if networks else None)


CCN_ONLY = (
    "loss", "sigma", "init", "backbone", "epochs", "batch_size", "learning_rate", "optimizer", "drop_every",
    "variation", "rounds", "precision",
)  # fmt: skip


def check_flags(config: ClusterConfig, context: Context) -> None:
    """Raise UsageError for values that cannot be, or that the method would not use."""
    check_precision(config.precision, choose_device(context.device))
    if config.k not in ("auto", "known") and not (config.k.isdecimal() and int(config.k) >= 2):
        raise UsageError(
            f"--k {config.k}: give a number from 2, auto, or known (an oracle: it counts the target's classes)"
        )
    if config.pairs.startswith(PREFIX):
        parse_simulated(config.pairs)
    if config.k == "auto" and from_labels(config):
        raise UsageError(f"--k auto: --pairs {config.pairs} are no estimate of anything; give a number, or known")
    check_features(config)
    if config.method is Method.CCN:
        if config.loss is not Loss.KCL and context.is_given(config, "sigma"):
            raise UsageError(f"--sigma: --loss {config.loss} has no margin; leave it out or use --loss kcl")
        if config.init != Init.RANDOM and context.is_given(config, "backbone"):
            whose = "G's" if config.init == Init.G else "that of the file"
            raise UsageError(f"--backbone: --init {config.init} takes {whose}; leave one of them out")
        if config.init == Init.G and config.precision is Precision.BF16:
            raise UsageError("--precision bf16: --init g trains no backbone; leave it out")
        if config.init == Init.G and from_labels(config):
            raise UsageError(f"--init g: no G predicted --pairs {config.pairs}; leave it out")
        return
    for name in CCN_ONLY:
        if context.is_given(config, name):
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag}: --method {config.method} does not use it; leave it out or use --method ccn")
    if context.resume:
        raise UsageError(f"--resume: --method {config.method} trains no network; leave it out")
    name = f"--method {config.method}" + ("" if config.features is None else f" --features {config.features}")
    if not config.uses_pairs and config.constraints is not None:
        raise UsageError(f"--constraints: {name} uses no pairs; leave it out or use --method ccn")
    if not config.uses_pairs and config.dataset is not None and context.is_given(config, "pairs"):
        raise UsageError(f"--pairs: {name} uses no pairs; leave it out or use --method ccn")
    if needs_all_pairs(config) and config.pairs.startswith(PREFIX) and parse_simulated(config.pairs)[2] < 1:
        raise UsageError(f"--pairs {config.pairs}: {name} needs all pairs; give density 1 or use --method ccn")
    if config.method.finds_k and context.is_given(config, "k"):
        raise UsageError(f"--k {config.k}: {name} finds the number of clusters itself; leave it out")


def needs_all_pairs(config: ClusterConfig) -> bool:
    """Return whether the method takes the probability of every pair, so that none may be unknown."""
    return config.method.on_pairs_alone or config.method is Method.SPECTRAL


def check_features(config: ClusterConfig) -> None:
    """Raise UsageError for features, or a number of pairs, that the method would not use."""
    if config.features is not None and config.method is Method.CCN:
        raise UsageError("--features: --method ccn learns its own; leave it out, or use --init FILE")
    if config.features is not None and config.method.on_pairs_alone:
        raise UsageError(f"--features: --method {config.method} sees the pairs alone; leave it out")
    if config.max_pairs is not None and not config.method.samples_pairs:
        raise UsageError(f"--max-pairs: --method {config.method} does not use it; leave it out")


@dataclass(frozen=True)
class Given:
    """The pair information of a run: that of a file, by subset, or the labels (`groups` None)."""

    header: Header | None
    path: Path | None
    groups: dict[str, dict[str, Array]] | None
    inputs: dict[str, str]

    @property
    def bn(self) -> BatchNorm:
        return BatchNorm.TARGET if self.header is None else BatchNorm(self.header.config["bn"])

    def learned(self, config: ClusterConfig) -> Learned:
        """Return what the G of the pairs learned from, where they are used."""
        if self.header is None or self.path is None or not config.uses_pairs:
            return {}
        return {"G": learned_from(self.header, self.path)}

    def source(self, subset: Subset, config: ClusterConfig, seed: int) -> PairSource | None:
        if not config.uses_pairs:
            return None
        if self.groups is None:
            if subset.labels is None:
                raise InputError(f"--pairs {config.pairs}: {config.dataset} has no labels")
            unlabelled = int((subset.labels < 0).sum())
            if unlabelled and needs_all_pairs(config):
                raise InputError(
                    f"--pairs {config.pairs}: --method {config.method} needs all pairs, and {unlabelled} items of "
                    f"{config.dataset} are unlabelled; use --method ccn"
                )
            if config.pairs.startswith(PREFIX):
                return SimulatedPairs(
                    subset.labels, *parse_simulated(config.pairs), derive_seed(seed, "pairs", subset.name)
                )
            return LabelPairs(subset.labels)
        group = self.groups.get(subset.name)
        if group is None or group["id"].tolist() != subset.ids.tolist():
            assert self.header is not None
            raise InputError(
                f"{self.path}: has no pairs of {config.dataset}; run: {again(self.header, config.dataset)}"
            )
        return from_group(group)


def read_pairs(config: ClusterConfig, context: Context) -> Given:
    """Read the pairs that the configuration asks for and check that they belong to the G in the work folder."""
    inputs = {}
    if config.constraints is not None:
        inputs["constraints"] = sha256(config.constraints) if config.constraints.is_file() else ""
    if from_labels(config) or (not config.uses_pairs and config.dataset is not None):
        return Given(None, None, None, inputs)
    path = context.find(config.pairs)
    header, groups = read_hdf5(path, "pairs")
    if path.parent == context.workdir:
        check_made_from(header, path, "g", g_of(header, path))
    inputs["pairs"] = sha256(path)
    return Given(header, path, groups, inputs)


@dataclass(frozen=True)
class Network:
    """The network that a clustering starts from or that gives the features, with the hashes of what was read.

    `start` is that of a file, `g` the G that predicted the pairs, `by_subset` those of an earlier `cluster`, made of
    the data set that `header` names. `learned` says whose labels it learned from.
    """

    inputs: dict[str, str]
    start: BackboneNet | None = None
    g: SimilarityNet | None = None
    by_subset: dict[str, ClusterNet] | None = None
    header: Header | None = None
    path: Path | None = None
    learned: Learned = field(default_factory=dict)

    @property
    def any(self) -> BackboneNet | None:
        return self.start or self.g or next(iter((self.by_subset or {}).values()), None)

    def of(self, subset: Subset) -> BackboneNet | None:
        return self.start if self.by_subset is None else self.by_subset[subset.name]

    def width(self, data: Dataset) -> int:
        """Return how many values an item has for a method."""
        return math.prod(data.shape) if self.any is None else self.any.backbone.features

    def check_data(self, data: Dataset) -> None:
        """Raise InputError where the networks of an earlier `cluster` are not of this data."""
        if self.by_subset is None or self.header is None or self.path is None:
            return
        check_dataset(self.header, self.path, data.name, data.fingerprint)
        for subset in data.subsets:
            if subset.name not in self.by_subset:
                raise InputError(f"{self.path}: has no network of {subset.name}; run: {again(self.header, data.name)}")


def read_network(config: ClusterConfig, context: Context, given: Given) -> Network:
    """Read the network that `--init` or `--features` names."""
    if config.features == Features.CCN:
        path = context.path(NETWORK)
        header, networks = read_cluster_nets(path)
        learned = {path.name: learned_from(header, path)}
        return Network({"features": sha256(path)}, by_subset=networks, header=header, path=path, learned=learned)
    if config.features == Features.G or (config.init == Init.G and given.header is not None):
        path = path_of_g(context, given)
        # Read first: what reads it says how to make one that is missing.
        header, g = read_g(path)
        return Network({"g": sha256(path)}, g=g, learned={"G": learned_from(header, path)})
    name, file = ("features", config.features) if config.features is not None else ("init", config.init)
    if file in (list(Init) if name == "init" else list(Features)):
        return Network({})
    path = context.find(str(file))
    header, start = read_start(path)
    return Network({name: sha256(path)}, start=start, learned={path.name: learned_from(header, path)})


def path_of_g(context: Context, given: Given) -> Path:
    """Return the G that predicted the pairs, or where there are none the one in the work folder.

    Raises InputError where the one that predicted them is not beside them.
    """
    if given.header is None:
        return context.path(G_FILE)
    assert given.path is not None
    path = g_of(given.header, given.path)
    if not (path.exists() and sha256(path) == given.header.inputs.get("g")):
        raise InputError(
            f"{given.path}: the {path.name} that predicted it is not beside it; put it there, or use neither "
            "--init g nor --features g"
        )
    return path


def load_for(config: ClusterConfig, context: Context, given: Given, network: Network) -> Dataset:
    """Load the data set that is asked for, or the one that the pairs are of, in the form that its network takes.

    That is the form G saw it in, unless another network is where the clustering starts.
    """
    header = given.header
    shape = None if network.any is None else network.any.architecture.shape
    if header is None:
        if config.dataset is None:
            raise UsageError(
                f"--pairs {config.pairs}: name the data set too, as in: cluster mnist_train --pairs labels"
            )
        if shape is None:
            return load_dataset(config.dataset, context.data, offline=context.offline)
        return load_like(config.dataset, shape, context.data, offline=context.offline)
    name, seen = config.dataset or header.dataset["name"], tuple(header.extra["shape"])
    data = load_like(name, seen, context.data, offline=context.offline)
    assert given.path is not None
    check_dataset(header, given.path, name, data.fingerprint)
    return data if shape in (None, seen) else load_like(name, shape, context.data, offline=context.offline)


def read_estimates(
    config: ClusterConfig, context: Context, given: Given
) -> tuple[dict[str, int], dict[str, str], Learned]:
    """Return K by subset as `estimate-k` recommends it, where `--k auto` asks for it, the file's hash as an input, and
    what the G behind it learned from.

    Raises InputError where there is no `k.json`, or one of other pairs.
    """
    if config.k != "auto":
        return {}, {}, {}
    path = context.path(ESTIMATES)
    if not path.exists():
        raise InputError(f"{path}: no such file, --k auto reads it; run: clusterkit estimate-k")
    header, content = read_json(path, "k")
    pairs = given.inputs.get("pairs")
    if pairs is not None and header.inputs.get("pairs") != pairs:
        raise InputError(f"{path}: was estimated from other pairs than {given.path}; run: clusterkit estimate-k")
    return content["recommended"], {"k": sha256(path)}, {"G": learned_from(header, path)}


def number_of_clusters(config: ClusterConfig, subset: Subset, name: str, estimates: dict[str, int]) -> int:
    """Turn `--k` into a number for one subset, 0 where the method finds it. Raises an error for one that cannot be."""
    if config.method.finds_k:
        return 0
    k = asked_k(config.k, subset, name, estimates)
    if k >= len(subset) and config.method is not Method.CCN:
        raise UsageError(
            f"--k {config.k}: as many clusters as {name} has images in {subset.name} ({len(subset)}); give less"
        )
    return k


def asked_k(k: str, subset: Subset, name: str, estimates: dict[str, int]) -> int:
    if k == "auto":
        if subset.name not in estimates:
            raise InputError(f"--k auto: {ESTIMATES} says nothing of {subset.name}; run: clusterkit estimate-k")
        # A network of one output has nothing to decide.
        return max(2, estimates[subset.name])
    if k == "known":
        if subset.labels is None:
            raise UsageError(f"--k known: {name} has no labels to count classes in; give a number")
        return len(subset.labels[subset.labels >= 0].unique())
    if int(k) > len(subset):
        raise UsageError(f"--k {k}: more clusters than {name} has images in {subset.name} ({len(subset)})")
    return int(k)


def from_labels(config: ClusterConfig) -> bool:
    """Return whether the pairs come from the target's labels, with or without simulated errors."""
    return config.pairs == "labels" or config.pairs.startswith(PREFIX)


def together(*parts: Learned) -> Learned:
    """Return what several networks learned from; of one name, what any of them did."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: distinct(*(part.get(name, []) for part in parts)) for name in names}


def uses_labels(config: ClusterConfig, network: Network, trained: str) -> str:
    """Return what a run takes from the target's labels, in words for the header.

    It may do so itself, by an earlier `cluster`, or by the training of networks, of which `trained` says so.
    """
    earlier = "no" if network.header is None else beside_training(network.header)
    # "known" takes one number: how many classes there are.
    own = "number of classes" if config.k == "known" else "no"
    if from_labels(config):
        own = "pairs" if config.pairs == "labels" else "pairs with simulated errors"
    return all_used(own, earlier, trained)


def check_constraints(constraints: list[tuple[int, int, float]], data: Dataset, config: ClusterConfig) -> None:
    """Raise InputError for a constraint on ids that do not exist or never meet."""
    home = {int(item): subset.name for subset in data.subsets for item in subset.ids}
    for a, b, _ in constraints:
        if a not in home or b not in home:
            raise InputError(f"{config.constraints}: no item {a if a not in home else b} in {data.name}")
        if home[a] != home[b]:
            raise InputError(
                f"{config.constraints}: items {a} and {b} are in different subsets, which are clustered apart"
            )
