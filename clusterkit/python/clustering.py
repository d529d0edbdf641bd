"""cluster: clusters arrays without files."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.augment import check_variation
from clusterkit.config import ClusterConfig, Context, Variation
from clusterkit.device import choose_device
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS, reads_pairs
from clusterkit.methods.common.check import check_cost, needs_all_pairs, with_backbone
from clusterkit.methods.common.declared import Reads
from clusterkit.methods.common.joint_options import JointOptions, SourceOptions
from clusterkit.methods.common.joint_start import settled
from clusterkit.methods.common.number import number_of_clusters
from clusterkit.methods.common.problem import Clustering, Items, Question, Run
from clusterkit.methods.common.solve import solve
from clusterkit.networks.start import read_network
from clusterkit.pairs.links import held_counts, holding
from clusterkit.python.inputs import read_items, read_links, read_pairs
from clusterkit.python.source import read_source
from clusterkit.python.words import python_words
from clusterkit.settings import MOST_SEED, Features, Init, OnlyConstraints, Options, TruePairs, options_of
from clusterkit.stages.cluster import check

METHOD = "spectral"
"""The default method. It reads the pairs if there are any, and otherwise the items."""
REMEDY = '; give --init=FILE, --init="random" or a --backbone'


@dataclass(frozen=True, eq=False)
class Clusters:
    """`labels` (N,) int32, -1 for an item in no cluster; `probabilities` (N, K) float32; `k` is K with empty clusters.

    A method that computes no probabilities gives 0 and 1. `constraints` says how many of them hold, as in
    `{"must": {"held": 5, "of": 5}, "cannot": {"held": 2, "of": 3}}`; None without any.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    k: int
    constraints: dict[str, dict[str, int]] | None = None


def cluster(
    x: Any,
    *,
    k: int | None = None,
    method: str = METHOD,
    pairs: Any = None,
    constraints: Mapping[str, Any] | None = None,
    constraint_weight: float | None = None,
    seed: int = 0,
    device: str = "auto",
    **options: Any,
) -> Clusters:
    """Cluster items as `clusterkit cluster` does with the same arrays, and write no file.

    `x` holds N items: vectors (N, D), or images (N, H, W), (N, H, W, C) or (N, C, H, W), as in the data set `arrays:`.
    `k` is the number of clusters, or of outputs with `ccn`; leave it out for a method that finds it. `pairs` (N, N)
    holds the probability from 0 to 1 that two items are similar, NaN if it is unknown. `constraints` holds the lists
    `must_link` and `cannot_link`, whose pairs of positions override `pairs`; each counts as `constraint_weight` other
    pairs. `options` are the method's own options; `source` is the labelled set (x, labels) of a method that learns one.

    Raises ValueError for an invalid value, TypeError for a value of the wrong type, FileNotFoundError if the file of
    `init` is missing, InputError if it cannot be read, and DivergedError if the loss of a training is not finite.
    """
    with python_words():
        return clustered(
            x, k=k, method=method, pairs=pairs, constraints=constraints, weight=constraint_weight, seed=seed,
            device=device, options=options,
        )  # fmt: skip


def clustered(
    x: Any, *, k: int | None, method: str, pairs: Any, constraints: Any, seed: int, device: str,
    options: Mapping[str, Any], weight: float | None = None,
) -> Clusters:  # fmt: skip
    """Do the work of `cluster`. Errors name flags of the command line, which `python_words` translates."""
    source = options.get("source")
    method_options = read_options(method, {name: value for name, value in options.items() if name != "source"})
    context = Context(
        workdir=Path(), device=str(device), seed=read_seed(seed),
        given=frozenset(options) | ({"k"} if k is not None else set()),
    )  # fmt: skip
    start = read_network(None, getattr(method_options, "init", Init.RANDOM), context, None)
    data = read_items(x, start)
    [subset] = data.subsets
    links = read_links(constraints, len(subset))
    config = settings_of(k, method, method_options, has_pairs=pairs is not None, has_links=bool(links))
    config = replace(config, constraint_weight=weight)
    check(config, context)
    check_variation(getattr(method_options, "variation", Variation.MILD), data.kind, "x")
    count = number_of_clusters(config, subset, "x", {}, fewest=0)
    check_cost(config, "x", len(subset), start.width(data), count)
    labelled = None
    if isinstance(method_options, JointOptions):
        with_init = replace(method_options, init=method_options.init or Init.RANDOM)
        method_options = settled(method, with_init, method_options, start, data, context, REMEDY)
    if isinstance(method_options, SourceOptions):
        labelled = read_source(source, data, start, method)
    elif source is not None:
        raise UsageError(f"--source: --method {method} learns no labelled set; leave it out")
    method_options = with_backbone(method_options, data.shape, context)
    config, pair_source = replace(config, options=method_options), None
    if reads_pairs(config):
        pair_source = read_pairs(
            pairs, links, len(subset), weight=config.constraint_weight, every=needs_all_pairs(config), method=method
        )
    items = Items(subset=subset, kind=data.kind, shape=data.shape, start=start.of(subset), source=labelled)
    result = solve_in_memory(config, items, Question(k=count, pairs=pair_source, options=method_options), context)
    counts = held_counts(links, holding(links, result.cluster)) if links else None
    return Clusters(result.cluster, result.prob, result.prob.shape[1], counts)


def read_options(method: str, options: Mapping[str, Any]) -> Options:
    """Return the options of a method.

    Raises TypeError for a name that is no option, and UsageError for an option of other methods alone.
    """
    if not isinstance(method, str):
        raise TypeError(f"--method must be a name, not {method!r}")
    if not isinstance(options, Mapping):
        raise TypeError(f"--options must be a dict, not {options!r}")
    kind = type(options_of(METHODS, method, None))
    for name in options:
        users = [other for other in METHODS if name in names_of(other)]
        if not users:
            names = ", ".join(names_of(method)) or "none"
            raise TypeError(f"unexpected argument {name!r}; the options of method {method}: {names}")
        if method not in users:
            raise UsageError(
                f"--{name}: --method {method} does not use it; leave it out or use --method {' or '.join(users)}"
            )
    if options.get("init") == Init.G:
        raise UsageError("--init g: pairs in an array have no G; leave it out, or name a file of train-g or pretrain")
    return kind(**options)


def names_of(method: str) -> list[str]:
    return [field.name for field in fields(METHODS[method].options)]


def read_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"--seed must be a whole number, not {seed!r}")
    number = operator.index(seed)
    if not 0 <= number <= MOST_SEED:
        raise UsageError(f"--seed {number}: give a number from 0 to {MOST_SEED}")
    return number


def settings_of(k: Any, method: str, options: Options, *, has_pairs: bool, has_links: bool) -> ClusterConfig:
    """Return the settings of the equivalent command.

    Raises UsageError if K or the pairs are missing, and TypeError for a K of the wrong type.
    """
    declared = METHODS[method]
    if not (has_pairs or has_links or declared.pairs is Reads.NOTHING or declared.instead):
        raise UsageError(f"--pairs: --method {method} reads pairs; give pairs (N, N) or constraints")
    if k is None and not declared.finds_k:
        raise UsageError(f"--k: --method {method} does not find the number of clusters; give a number from 2")
    if k is not None and (isinstance(k, bool | str) or not hasattr(k, "__index__")):
        raise TypeError(f"--k must be a whole number or None, not {k!r}")
    config = ClusterConfig(dataset="x", method=method, options=options)
    if k is not None:
        config = replace(config, k=operator.index(k))
    if has_pairs:
        config = replace(config, pairs=TruePairs())
    elif has_links:
        config = replace(config, pairs=OnlyConstraints())
    if has_links:
        config = replace(config, constraints=Path("constraints"))
    # Without pairs, a method that can read the items instead reads them.
    return replace(config, features=Features.PIXELS) if declared.instead and not (has_pairs or has_links) else config


def solve_in_memory(config: ClusterConfig, items: Items, question: Question, context: Context) -> Clustering:
    """Cluster with a temporary folder for the state of a training, and restore PyTorch's random state afterwards."""
    device = choose_device(context.device)
    cuda = [device] if device.type == "cuda" else []
    with TemporaryDirectory(prefix="clusterkit-") as folder, torch.random.fork_rng(cuda):
        run = Run(seed=context.seed, device=device, state=Path(folder) / "all.safetensors", key="")
        return solve(config, items, question, run)
