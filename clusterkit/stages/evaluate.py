"""evaluate: compares assignments, or the predictions of G, with the true labels; a critic scores assignments too."""

import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterkit.artifacts.assignments import Assignment, read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, resolved
from clusterkit.artifacts.json_file import write_json
from clusterkit.artifacts.lineage import again, learned_from, target_of
from clusterkit.config import Context, EvaluateConfig
from clusterkit.console import size
from clusterkit.critic.network import Critic
from clusterkit.critic.read import check_finite, origin, read_critic
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_recorded
from clusterkit.datasets.grown import check_content
from clusterkit.datasets.overlap import warn_of_training
from clusterkit.device import choose_device, derive_seed, describe
from clusterkit.errors import InputError, UsageError
from clusterkit.features.load import load_like
from clusterkit.methods.common.check import warn_of_hours
from clusterkit.methods.common.memory import memory
from clusterkit.methods.common.outputs import outputs
from clusterkit.methods.common.problem import Items
from clusterkit.methods.common.solve import values
from clusterkit.metrics import clustering
from clusterkit.metrics.label_free import indices
from clusterkit.metrics.n_way import n_way
from clusterkit.metrics.pairs import pair_scores
from clusterkit.metrics.rows import Row, rows_of
from clusterkit.networks.build import SimilarityNet
from clusterkit.networks.read import read_g
from clusterkit.pairs.cosine import CosinePairs
from clusterkit.pairs.g import g_pairs
from clusterkit.settings import Features

log = logging.getLogger("clusterkit")

OUTPUT = "evaluation.json"
NOTES = {
    "acc": "one-to-one Hungarian matching of clusters and classes; items of unmatched clusters are errors",
    "nmi": "mutual information over the geometric mean of the entropies",
    "ndc": "clusters of at least N / K items",
    "adif": "absolute difference of ndc and the number of classes",
    "accuracy": "share of items assigned to their true class, without matching",
    "critic": "score by the critic, to compare clusterings of one set; reads no labels",
    "silhouette": "by Euclidean distances among at most 2,000 items; reads no labels",
    "calinski_harabasz": "variance between clusters over that within them; reads no labels",
}
LESS_IS_BETTER = ("adif",)
"""The scores for which lower is better."""


Confusion = dict[str, dict[str, int]]


@dataclass(frozen=True)
class EvaluateResult:
    """`scores` by subset and name, `mean` over the subsets; `unlabelled` counts the items left out, by subset.

    Where the outputs are classes, `confusion` counts by subset, true class and given class, without zeros.
    """

    artifact: Path
    dataset: str
    scores: dict[str, dict[str, float]]
    mean: dict[str, float]
    confusion: dict[str, Confusion] = field(default_factory=dict)
    unlabelled: dict[str, int] = field(default_factory=dict)

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Return by subset and true class the share of its items given that class."""
        return {
            title: {true: given.get(true, 0) / sum(given.values()) for true, given in rows.items()}
            for title, rows in self.confusion.items()
        }

    def rows(self, **fields: Any) -> list[Row]:
        """Return the scores of each subset and their means as rows, which have these other fields."""
        named = {**self.scores, "mean": self.mean}
        return [row for subset, scores in named.items() for row in rows_of(scores, subset=subset, **fields)]


def run(config: EvaluateConfig, context: Context) -> EvaluateResult:
    """Evaluate an assignments file or, with `config.g`, a similarity network; write `evaluation.json`.

    Raises UsageError for settings that have no effect, and InputError for a set without labels or files that are
    missing, damaged or do not match.
    """
    check_flags(config, context)
    return evaluate_g(config, context) if config.g is not None else evaluate_assignments(config, context)


G_ONLY = ("dataset", "bn", "ways", "episodes")


def check_flags(config: EvaluateConfig, context: Context) -> None:
    """Raise UsageError for settings that have no effect."""
    if config.g is not None and context.is_given(config, "assignments"):
        raise UsageError("--assignments and --g: each names what to evaluate; leave one of them out")
    if config.g is not None and config.critic is not None:
        raise UsageError("--critic: scores assignments, and --g names a network; leave one of them out")
    for name in G_ONLY:
        if config.g is None and context.is_given(config, name):
            flag = "DATASET" if name == "dataset" else f"--{name}"
            raise UsageError(
                f"{flag} works only with --g, because assignments name their data set; leave it out or give --g"
            )


def evaluate_assignments(config: EvaluateConfig, context: Context) -> EvaluateResult:
    """Score the labelled items of each subset against their true labels, and all items by a critic if it is named."""
    path = context.find(config.assignments)
    header, assignments = read_assignments(path)
    data = load_recorded(header.dataset, context, path, labels=context.reading.labels)
    check_content(header, path, data, (assignment.name_digest for assignment in assignments.values()))
    name = data.name
    classes = header.extra.get("classes")
    inputs, critic = {"assignments": sha256(path)}, None
    if config.critic is not None:
        check_values(header, path)
        critic_path = context.find(config.critic)
        critic_header, critic = read_critic(critic_path)
        hashes, learned = origin(critic_header, critic_path)
        inputs |= hashes
        warn_of_training(learned, data.to_header())
    scores: dict[str, dict[str, float]] = {}
    confusion = {}
    for subset in data.subsets:
        if subset.labels is None and critic is None:
            raise InputError(f"{data.title} has no labels to compare {path} with; name a file of them with --labels")
        if subset.name not in assignments or assignments[subset.name].id.tolist() != subset.ids.tolist():
            raise InputError(f"{path}: has other items than {name}; run: {again(header, path)}")
        warn_degenerate(assignments[subset.name], subset.name)
        by_critic = {} if critic is None else critic_scores(critic, assignments[subset.name], subset, data, context)
        scores[subset.name] = by_critic
        if subset.labels is None:
            continue
        is_labelled = subset.labels.numpy() >= 0
        assignment = assignments[subset.name].take(is_labelled)
        labels, among = subset.labels.numpy()[is_labelled], outputs(header, assignment)
        scores[subset.name] = cluster_scores(assignment, among, labels, data, classes) | by_critic
        if classes is not None:
            confusion[subset.name] = confused(assignment, labels, data, classes)
    if header.extra.get("uses_target_labels") not in (None, "no"):
        log.warning("the clustering used the target's labels: %s", header.extra["uses_target_labels"])
    return finish(config, context, data, inputs, scores, "cpu", confusion=confusion)


def check_values(header: Header, path: Path) -> None:
    """Raise InputError for clusters of what a network makes of the items: a critic would score other values."""
    if header.config.get("features") not in (None, Features.PIXELS):
        raise InputError(
            f"{path}: clusters of --features {header.config['features']}, but --critic scores the items themselves; "
            "cluster the data set features:FILE instead"
        )


def critic_scores(
    critic: Critic, assignment: Assignment, subset: Subset, data: Dataset, context: Context
) -> dict[str, float]:
    """Return the score of the assigned items by a critic, and two other indices that read no labels."""
    inside = np.flatnonzero(assignment.cluster >= 0)
    if len(inside) < 2:
        raise InputError(f"{subset.name}: fewer than two items are in clusters, which no critic can score")
    check_memory(len(inside), math.prod(data.shape), subset.name)
    items = Items(subset=subset.take(torch.from_numpy(inside)), kind=data.kind, shape=data.shape)
    points = values(items, torch.device("cpu"))
    cluster = np.unique(assignment.cluster[inside], return_inverse=True)[1]
    read = critic.read(torch.from_numpy(points), data.name)
    score = float(critic.scores(read, torch.from_numpy(cluster)[None])[0])
    check_finite(score, subset.name)
    return {"critic": score, **indices(points, cluster, derive_seed(context.seed, "silhouette", subset.name) % 2**32)}


def check_memory(count: int, width: int, name: str) -> None:
    """Raise InputError if N items of D values, as a critic reads them, do not fit in memory.

    By measurement these are four copies of the items, three matrices of products, and some coordinates and neighbours.
    """
    smaller = min(count, width)
    needed, available = 8 * (4 * count * width + 3 * smaller**2 + 150 * count), memory()
    if available is not None and needed > available:
        raise InputError(
            f"{name}: to score {count} items, --critic needs about {size(needed)} of memory, but this machine (or its "
            f"container) has {size(available)}; cluster and score a part of the set"
        )


def cluster_scores(
    assignment: Assignment, among: int, labels: np.ndarray[Any, Any], data: Dataset, classes: list[str] | None
) -> dict[str, float]:
    """Return the scores of one subset, with `accuracy` if the outputs are `classes`.

    `among` is the number of outputs, which sets the size of a dominant cluster.
    """
    result = clustering.scores(assignment.cluster, labels, among)
    if classes is not None:
        assigned = np.array([*classes, None])[assignment.cluster]
        result["accuracy"] = float((assigned == np.array(data.classes)[labels]).mean())
    return result


def confused(assignment: Assignment, labels: np.ndarray[Any, Any], data: Dataset, classes: list[str]) -> Confusion:
    """Return, by true class and assigned class, the number of items; "none" counts items without a class."""
    names = [*classes, "none"]
    result = {}
    for true in np.unique(labels):
        # The cluster -1, of an item in no class, becomes the position of "none".
        counts = np.bincount(assignment.cluster[labels == true] % len(names), minlength=len(names))
        result[data.classes[true]] = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    return result


def warn_degenerate(assignment: Assignment, name: str) -> None:
    """Warn if all or nearly all items are in one cluster, or if some are in none."""
    sizes = np.bincount(assignment.cluster[assignment.cluster >= 0], minlength=1)
    largest = sizes.max() / max(1, len(assignment.cluster))
    if (sizes > 0).sum() == 1 or largest > 0.9:
        log.warning("%s: degenerate clustering, %.0f %% of the items are in one cluster", name, 100 * largest)
    if (assignment.cluster < 0).any():
        log.warning("%s: %d items are in no cluster", name, int((assignment.cluster < 0).sum()))


def evaluate_g(config: EvaluateConfig, context: Context) -> EvaluateResult:
    """Score G's pairs within each subset, and its N-way tests over all classes."""
    device = choose_device(context.device)
    path, network, data = read_labelled(config, context)
    assert config.g is not None
    config = replace(config, g=context.settled(config.g))
    scores = {}
    for subset in data.subsets:
        if subset.labels is not None:
            pairs = g_pairs(network, subset.to(device), config.bn, device)
            width = pairs.z.shape[1] if isinstance(pairs, CosinePairs) else 2 * pairs.u.shape[1]
            warn_of_hours(
                f"evaluate --g: all pairs of the {len(subset)} items of {subset.name}", width * len(subset) ** 2
            )
            scores[subset.name] = pair_scores(pairs, subset.labels)
    mean = mean_scores(scores) | n_way_scores(network, data, config, context)
    return finish(config, context, data, {"g": sha256(path)}, scores, describe(device), mean)


def one_shot(config: EvaluateConfig, context: Context) -> dict[str, float]:
    """Return only the N-way tests, which take much less time on a large set than scoring all N^2 pairs."""
    _, network, data = read_labelled(config, context)
    return n_way_scores(network, data, config, context)


def read_labelled(config: EvaluateConfig, context: Context) -> tuple[Path, SimilarityNet, Dataset]:
    """Return the path of G, G, and the set to evaluate it on. Raises InputError for a set without labels."""
    assert config.g is not None
    path = context.find(config.g)
    header, network = read_g(path)
    name = target_of(header, config.dataset)
    data = load_like(name, network.architecture.shape, context, header.dataset)
    if data.labels is None:
        raise InputError(f"data set {name} has no labels to evaluate against; name a labelled set, or --labels")
    warn_of_training({"G": learned_from(header, path)}, data.to_header())
    return path, network, data


def n_way_scores(network: SimilarityNet, data: Dataset, config: EvaluateConfig, context: Context) -> dict[str, float]:
    """Return the scores of G's N-way tests over all classes of a labelled set, as `N_way`."""
    device, labels = choose_device(context.device), data.labels
    assert labels is not None
    if not config.ways:
        return {}
    pairs = g_pairs(network, data.union().to(device), config.bn, device)
    classes = len(data.present_classes())
    scores = {}
    for ways in config.ways:
        if ways > classes:
            log.warning("--ways %d is left out: %s has only %d classes", ways, data.name, classes)
            continue
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "n-way", ways))
        scores[f"{ways}_way"] = n_way(pairs, labels, ways, config.episodes, generator)
    return scores


def mean_scores(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the mean over the subsets of each score that all have."""
    names = [name for name in next(iter(scores.values())) if all(name in subset for subset in scores.values())]
    return {name: float(np.mean([subset[name] for subset in scores.values()])) for name in names}


def finish(
    config: EvaluateConfig, context: Context, data: Dataset, inputs: dict[str, str],
    scores: dict[str, dict[str, float]], device: str, mean: dict[str, float] | None = None,
    confusion: dict[str, Confusion] | None = None,
) -> EvaluateResult:  # fmt: skip
    """Write `evaluation.json` and return the result."""
    mean = mean_scores(scores) if mean is None else mean
    header = Header("evaluation", "evaluate", resolved(config), context.seed, device, data.to_header(), inputs)
    notes = {name: NOTES[name] for name in mean if name in NOTES}
    output = context.path(OUTPUT)
    unlabelled = {s.name: int((s.labels < 0).sum()) for s in data.subsets if s.labels is not None}
    unlabelled = {title: count for title, count in unlabelled.items() if count}
    for title, count in unlabelled.items():
        log.warning("%s: %d items are unlabelled and left out of the scores", title, count)
    result = EvaluateResult(output, data.name, scores, mean, confusion or {}, unlabelled)
    content = {"subsets": scores, "mean": mean, "notes": notes}
    if unlabelled:
        content["unlabelled"] = unlabelled
    if result.confusion:
        content |= {"per_class": result.per_class, "confusion": result.confusion}
    write_json(output, header, content)
    return result
