"""cluster: turns pairs into clusters, subset by subset."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clusterkit.artifacts.assignments import Assignment, write_assignments, write_with_network
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.lineage import (
    Learned,
    all_used,
    beside_training,
    distinct,
    joined,
    run_key,
)
from clusterkit.artifacts.replaced import Earlier, announce, earlier_assignments
from clusterkit.augment import check_variation
from clusterkit.config import ClusterConfig, Context, Precision, Recipe, Variation
from clusterkit.console import warn_all
from clusterkit.critic.read import origin, read_critic
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.grown import DIGEST, changes_since, check_content, name_digest
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import check_precision, choose_device, describe
from clusterkit.distributed import is_first
from clusterkit.errors import UsageError
from clusterkit.features.load import load_dataset, load_like, load_recorded
from clusterkit.methods import METHODS, C2mOptions, counts_labels, reads_pairs, with_options
from clusterkit.methods.common.check import check_cost, check_settings, needs_all_pairs, with_backbone
from clusterkit.methods.common.joint_options import JointOptions, SourceOptions
from clusterkit.methods.common.joint_start import Source, prepared, target_context, with_start
from clusterkit.methods.common.number import ESTIMATES, number_of_clusters, read_estimates
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.methods.common.solve import solve
from clusterkit.methods.common.suited import suited
from clusterkit.metrics import doubts
from clusterkit.networks.heads import HeadKind
from clusterkit.networks.read import state_of
from clusterkit.networks.start import CCN_FILE, Start
from clusterkit.networks.typical import typical_tensors
from clusterkit.pairs.constraints import constrain
from clusterkit.pairs.read import PairInput, read_pairs, shape_of
from clusterkit.pairs.user_links import UserLinks, read_user_links
from clusterkit.settings import CountedBy, File, Init, NoisyPairs, TruePairs
from clusterkit.states import StateFolder

log = logging.getLogger("clusterkit")

OUTPUT = "assignments.h5"


@dataclass(frozen=True)
class ClusterResult:
    """`clusters` holds, by subset, how many clusters are not empty, and `constraints` how many constraints hold.

    `names` are those of the K clusters that examples name, None for the others.
    """

    artifact: Path
    dataset: str
    clusters: dict[str, int]
    warnings: list[str]
    network: Path | None = None
    constraints: dict[str, dict[str, dict[str, int]]] | None = None
    names: dict[str, list[str | None]] | None = None


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run: pairs, start network, data set, the user's links, K by subset, hashes and learned labels.

    `warnings` are of estimates of K that no clustering can have, and `source` is the labelled set of a joint training.
    """

    pairs: PairInput
    start: Start
    data: Dataset
    known: UserLinks
    ks: dict[str, int]
    hashes: dict[str, str]
    learned: Learned
    warnings: list[str]
    source: Source | None


def run(config: ClusterConfig, context: Context) -> ClusterResult:
    """Sort each subset into at most K clusters; write `assignments.h5` and, if the method trains networks, their file.

    Raises UsageError for invalid settings, and InputError for files that are missing or do not match.
    """
    config = with_options(config)
    check(config, context)
    device = choose_device(context.device)
    config, inputs = read_inputs(config, context)
    data = inputs.data
    config = replace(config, dataset=data.name, options=with_backbone(config.options, data.shape, context))
    path = context.path(OUTPUT)
    forms = [data.to_header()] + ([] if inputs.pairs.header is None else [inputs.pairs.header.dataset])
    trained = warn_of_training(inputs.learned, *forms)
    by_labels = isinstance(config.pairs, TruePairs | NoisyPairs)
    fields = data.to_learned() if counts_labels(config) else data.to_header()
    header = Header(
        "assignments", "cluster", resolved(config), context.seed, describe(device), data.to_header(), inputs.hashes
    )
    earlier = earlier_assignments(path)
    if earlier is not None:
        announce(path, earlier[0], header)
        if inputs.pairs.header is None and (changed := changes_since(*earlier, data)):
            log.info("cluster: %s: %s since %s was made", data.name, changed, path)
    states = StateFolder(path, context.resume) if METHODS[config.method].trains else None
    both = fields if inputs.source is None else {"target": fields, "source": inputs.source.learned}
    key = run_key("cluster", resolved(config), context.seed, both, inputs.hashes, describe(device))
    results = {
        subset.name: clustered(
            subset, config, context, inputs, None if states is None else states.file(subset.name), key
        )
        for subset in data.subsets
    }
    extra: dict[str, Any] = {"uses_target_labels": uses_labels(config, inputs.start, trained), "classes": None}
    if compared := {title: result.compared for title, result in results.items() if result.compared}:
        extra["compared"] = compared
    if counts_labels(config):
        extra["learned_from"] = [fields]
    if inputs.source is not None:
        extra["source"] = inputs.source.learned
    clusters = {title: result.cluster for title, result in results.items()}
    known, broken = inputs.known.results(
        data, clusters, {title: result.prob.shape[1] for title, result in results.items()}
    )
    header = replace(header, extra={**extra, **known})
    sets = distinct(*inputs.learned.values(), [fields] if by_labels else [])
    network = write(results, data, header, sets, context)
    if states is not None:
        states.remove()
    counts = {title: result.clusters for title, result in results.items()}
    warnings = inputs.warnings + broken + warn_all(doubts_of(config, inputs.pairs, results, earlier))
    return ClusterResult(path, data.name, counts, warnings, network, known.get("constraints"), known.get("names"))


def doubts_of(
    config: ClusterConfig, pairs: PairInput, results: dict[str, Clustering], earlier: Earlier | None
) -> list[str]:
    """Return warnings of networks that are unsure, or less sure than those of the clustering that was replaced."""
    warnings: list[str] = []
    if METHODS[config.method].trains:
        by_metric = pairs.is_by_metric and getattr(config.options, "init", None) is Init.G
        before = {} if earlier is None or earlier[0].config.get("method") != config.method else earlier[1]
        for title, result in results.items():
            # By Student's t-distribution, sure clusters too have margins that depend on the scale of the features.
            if result.network is not None and result.network.architecture.head is HeadKind.CENTRES:
                continue
            joint = METHODS[config.method].joint
            warnings += doubts.of_clusters(title, result.prob, by_metric=by_metric, joint=joint)
            if title in before:
                warnings += doubts.of_replaced(title, before[title].prob, result.prob)
    return warnings


def check(config: ClusterConfig, context: Context) -> None:
    """Raise UsageError for settings that are invalid, not used by the method, or not supported by the device."""
    config = with_options(config)
    check_precision(getattr(config.options, "precision", Precision.FP32), choose_device(context.device))
    check_settings(config, context)
    by_g = isinstance(config.pairs, File) and (reads_pairs(config) or config.k is CountedBy.ESTIMATE)
    if config.recipe is Recipe.PAPER and not by_g:
        raise UsageError(f"--recipe paper: has no effect on --method {config.method} without pairs by G; leave it out")
    if (
        context.reading.labels is not None
        and not counts_labels(config)
        and not isinstance(config.options, SourceOptions)
    ):
        raise UsageError("--labels: cluster reads labels only with --k known or --pairs labels; leave it out")


def files_read(config: ClusterConfig, context: Context) -> dict[str, Path]:
    """Return the files that a clustering reads, by the names that its header has for them."""
    named = {"features": config.features, "init": getattr(config.options, "init", None)}
    files = {name: context.find(file.name) for name, file in named.items() if isinstance(file, File)}
    known = {"constraints": config.constraints, "examples": config.examples}
    files |= {name: path for name, path in known.items() if path is not None}
    if isinstance(config.options, C2mOptions):
        files["critic"] = context.find(str(config.options.critic))
    if reads_pairs(config) and isinstance(config.pairs, File):
        files["pairs"] = Path(config.pairs.name)
    if config.k is CountedBy.ESTIMATE:
        files["k"] = context.path(ESTIMATES)
    return files


def read_inputs(config: ClusterConfig, context: Context) -> tuple[ClusterConfig, Inputs]:
    """Read all files and data that the settings name; check that they match each other and fit in memory.

    Return the settings too, with the start of the network for these pairs if `--init` is not given.
    """
    config, made_by_critic, learned_by_critic = with_critic(config, context)
    pairs = read_pairs(config, context, used=reads_pairs(config))
    check_recipe(config, pairs, context)
    config = suited_to(config, pairs, context)
    typed_options, of_target = config.options, target_context(config, context)
    made_by = None if pairs.header is None or pairs.path is None else (pairs.header, pairs.path)
    config, start = with_start(config, of_target, made_by)
    data = load_for(config, of_target, pairs, start)
    start.check_data(data, context)
    source = None
    if isinstance(typed_options, JointOptions):
        config, start, data, source = prepared(config, typed_options, start, data, context)
    check_variation(getattr(config.options, "variation", Variation.MILD), data.kind, data.name)
    if config.k is CountedBy.LABELS:
        log.info("cluster: --k known is an oracle: it counts the classes among the labels of %s", data.name)
    known = read_user_links(config.constraints, config.examples, data)
    estimates, k_hash, k_learned = read_estimates(config, context, pairs, data)
    ks = {
        subset.name: number_of_clusters(config, subset, data.name, estimates, known.fewest(subset.name))
        for subset in data.subsets
    }
    for subset in data.subsets:
        title = data.name if len(data.subsets) == 1 else f"{data.name}, {subset.name}"
        check_cost(
            config, title, len(subset), start.width(data), ks[subset.name], by_metric=pairs.is_by_metric and pairs.used
        )
        # Read the pairs of every subset before the first training, so that a missing one fails at once.
        pairs.source(subset, replace(config, dataset=data.name), context.seed, every=needs_all_pairs(config))
    hashes = {**known.hashes, **pairs.inputs, **start.inputs, **k_hash, **made_by_critic}
    learned = joined(
        k_learned,
        pairs.learned,
        start.learned,
        learned_by_critic,
        {} if source is None else {"source": [source.learned]},
    )
    warnings = warn_all(doubts.of_one({title: k for title, k in ks.items() if estimates.get(title) == 1}))
    return config, Inputs(pairs, start, data, known, ks, hashes, learned, warnings, source)


def with_critic(config: ClusterConfig, context: Context) -> tuple[ClusterConfig, dict[str, str], Learned]:
    """Return the settings with the path of the critic, if a method reads one; its hash, and the sets it learned."""
    if not isinstance(config.options, C2mOptions):
        return config, {}, {}
    path = context.find(str(config.options.critic))
    header, _ = read_critic(path)
    return replace(config, options=replace(config.options, critic=path)), *origin(header, path)


def check_recipe(config: ClusterConfig, pairs: PairInput, context: Context) -> None:
    """Raise UsageError for `--recipe paper` if no network is trained and the user chose the pairs."""
    if config.recipe is Recipe.BEST or METHODS[config.method].trains or config.k is CountedBy.ESTIMATE:
        return
    if "pairs" in context.given or not (pairs.header is None or pairs.header.config.get("automatic")):
        raise UsageError(
            f"--recipe paper: has no effect on --method {config.method} with --k {config.k} and pairs of your own, "
            f"{pairs.path}; leave it out"
        )


def suited_to(config: ClusterConfig, pairs: PairInput, context: Context) -> ClusterConfig:
    """Return the settings of a clustering of these pairs, as `suited` does."""
    return suited(config, context, by_metric=pairs.is_by_metric, by_recipe=pairs.is_by_recipe)


def load_for(config: ClusterConfig, context: Context, pairs: PairInput, start: Start) -> Dataset:
    """Load the named data set, or else that of the pairs, in the form that the start network or else G reads.

    Pictures stay pictures where pairs by their features only name the set.
    """
    header = pairs.header
    shape = None if start.any is None else start.any.architecture.shape
    if header is None:
        if config.dataset is None:
            raise UsageError(
                f"--pairs {config.pairs}: name the data set too, as in: cluster mnist_train --pairs {config.pairs}"
            )
        if shape is None:
            return load_dataset(config.dataset, context, whole=start.features is not None)
        return load_like(config.dataset, shape, context, None if start.header is None else start.header.dataset)
    assert pairs.path is not None
    recorded = header.dataset
    # Features of fixed backbones are made only for pairs that count, or for a network that reads them.
    as_pictures = "features" in recorded and (not pairs.used if shape is None else len(shape) == 3)
    if as_pictures:
        recorded = {name: value for name, value in recorded.items() if name != "features"}
    if config.dataset is None:
        data = load_recorded(recorded, context, pairs.path, labels=context.reading.labels)
    elif as_pictures:
        data = load_dataset(config.dataset, context, whole=True)
    else:
        data = load_like(config.dataset, shape_of(header, pairs.path), context, recorded)
    check_content(header, pairs.path, data, (group.get(DIGEST) for group in pairs.groups.values()))
    if shape in (None, data.shape):
        return data
    return load_like(data.name, shape, context, recorded, reading=data.reading)


def clustered(
    subset: Subset, config: ClusterConfig, context: Context, inputs: Inputs, state: Path | None, key: str
) -> Clustering:
    """Cluster one subset; `state` is the file for the state of a training, and `key` the hash of all it depends on."""
    pairs = inputs.pairs.source(subset, config, context.seed, every=needs_all_pairs(config))
    if inputs.pairs.used:
        pairs = constrain(pairs, inputs.known.closure(subset), config.constraint_weight)
    start, device = inputs.start, choose_device(context.device)
    items = Items(
        subset=start.items(subset), kind=inputs.data.kind, shape=inputs.data.shape, g=start.g, bn=inputs.pairs.bn,
        start=start.of(subset), source=None if inputs.source is None else inputs.source.items,
    )  # fmt: skip
    question = Question(k=inputs.ks[subset.name], pairs=pairs, options=config.options)
    run = Run(seed=context.seed, device=device, state=state, key=key, resume=context.resume)
    result = solve(config, items, question, run)
    if result.network is not None:
        result.network.cpu()  # makes room for the next network
    if result.compared:
        log.info("cluster %s: the consensus compared a random sample of %d items", subset.name, result.compared)
    clusters = "1 cluster" if result.clusters == 1 else f"{result.clusters} clusters"
    log.info("cluster %s: %d items in %s", subset.name, len(subset), clusters)
    return result


def write(
    results: dict[str, Clustering], data: Dataset, header: Header, sets: list[dict[str, Any]], context: Context
) -> Path | None:
    """Write the assignments and the networks, if any; return the path of the networks.

    `sets` are the sets whose labels the networks learned.
    """
    path, network_path = context.path(OUTPUT), context.path(CCN_FILE)
    assignments = {
        subset.name: Assignment(
            subset.ids.numpy(), results[subset.name].cluster, results[subset.name].prob, name_digest(data, subset)
        )
        for subset in data.subsets
    }
    networks = {title: result.network for title, result in results.items() if result.network is not None}
    if networks and is_first():
        extra = {
            **header.extra,
            "networks": {title: network.architecture.to_header() for title, network in networks.items()},
            "learned_from": sets,
            "history": {title: results[title].history for title in networks},
        }
        if moved := {title: results[title].moved for title in networks if results[title].moved}:
            extra["moved_by_links"] = moved
        networks_header = replace(header, format="ccn", extra=extra)
        tensors = {**state_of(networks), **typical_tensors(networks, data, choose_device(context.device))}
        write_with_network(path, header, assignments, network_path, networks_header, tensors)
    elif is_first():
        write_assignments(path, header, assignments)
        if network_path.exists() and "features" not in header.inputs:
            log.info("cluster: %s belongs to earlier clusters, not to these; assign refuses it", network_path)
    return network_path if networks else None


def uses_labels(config: ClusterConfig, start: Start, trained: str) -> str:
    """Return the header's `uses_target_labels`: what this run and its inputs took from the target's labels.

    `trained` is the part about the training of networks.
    """
    earlier = "no" if start.header is None else beside_training(start.header)
    this_run = "no"
    if isinstance(config.pairs, NoisyPairs):
        this_run = "pairs with simulated errors"
    elif isinstance(config.pairs, TruePairs):
        this_run = "pairs"
    elif config.k is CountedBy.LABELS:
        this_run = "number of classes"
    return all_used(this_run, "no" if config.examples is None else "examples", earlier, trained)
