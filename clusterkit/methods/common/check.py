"""Checks of a clustering against what its method declares, before it starts."""

import logging
from dataclasses import replace
from typing import Any

from clusterkit.config import ClusterConfig, Context
from clusterkit.errors import UsageError
from clusterkit.methods import METHODS, CcnOptions, reads_pairs, reads_values
from clusterkit.methods.common.declared import Reads, Size
from clusterkit.methods.common.joint_options import JointOptions
from clusterkit.methods.common.memory import memory
from clusterkit.networks.backbones import suited
from clusterkit.settings import CountedBy, File, Init, NoisyPairs, OnlyConstraints, options_of

log = logging.getLogger("clusterkit")

SPEED = 2e10
"""Multiplications per second on a few cores."""
HOUR, GIB = 3600, 2**30


def check_settings(config: ClusterConfig, context: Context) -> None:
    """Raise UsageError for settings that are invalid, or that the method would not use."""
    options = options_of(METHODS, config.method, config.options)
    method = METHODS[config.method]
    if method.finds_k and context.is_given(config, "k"):
        raise UsageError(f"--k {config.k}: --method {config.method} finds the number of clusters itself; leave it out")
    if isinstance(config.k, int) and config.k < 2:
        raise UsageError(f"--k {config.k}: give a number from 2")
    if config.k is CountedBy.ESTIMATE and not isinstance(config.pairs, File):
        raise UsageError(f"--k auto: --pairs {config.pairs} gives no estimate of K; give a number, or known")
    options.check(config, lambda name: context.is_given(options, name))
    if config.features is not None and not (method.values or method.instead):
        reason = "learns its own features; leave it out, or use --init FILE"
        reason = reason if method.trains else "reads only pairs; leave it out"
        raise UsageError(f"--features: --method {config.method} {reason}")
    if context.resume and not method.trains:
        raise UsageError(f"--resume: --method {config.method} trains no network; leave it out")
    name = f"--method {config.method}" + ("" if config.features is None else f" --features {config.features}")
    check_constraints(config, name)
    if not reads_pairs(config):
        for flag in ("constraints", "examples"):
            if getattr(config, flag) is not None:
                raise UsageError(f"--{flag}: {name} uses no pairs; leave it out or use --method ccn")
        if config.dataset is not None and context.is_given(config, "pairs"):
            raise UsageError(f"--pairs: {name} uses no pairs; leave it out or use --method ccn")
    elif needs_all_pairs(config) and isinstance(config.pairs, OnlyConstraints):
        raise UsageError(
            f"--pairs: {name} needs the probability of every pair, which --constraints alone do not give; "
            "predict pairs with a G, or use --method mpckmeans"
        )
    elif needs_all_pairs(config) and isinstance(config.pairs, NoisyPairs) and config.pairs.density < 1:
        raise UsageError(f"--pairs {config.pairs}: {name} needs all pairs; give density 1 or use --method ccn")


def check_constraints(config: ClusterConfig, name: str) -> None:
    """Raise UsageError for constraints that are missing, or whose weight the method would not use."""
    if not config.has_links and isinstance(config.pairs, OnlyConstraints):
        raise UsageError(f"--pairs {config.pairs}: no constraints are named; add --constraints FILE")
    if config.constraint_weight is None:
        return
    if not config.has_links:
        raise UsageError(
            "--constraint-weight: there are no constraints to weigh; add --constraints FILE or leave it out"
        )
    if not config.constraint_weight > 0:
        raise UsageError(f"--constraint-weight {config.constraint_weight}: give a number above 0")
    if needs_all_pairs(config):
        raise UsageError(f"--constraint-weight: {name} weighs no pairs, but keeps all must-links; leave it out")
    if METHODS[config.method].idle_alone and isinstance(config.pairs, OnlyConstraints):
        raise UsageError(f"--constraint-weight: {name} weighs no constraints that are alone; leave it out")


def needs_all_pairs(config: ClusterConfig) -> bool:
    """Return whether the method reads the probability of every pair, so that no pair may be unknown."""
    return reads_pairs(config) and METHODS[config.method].pairs is Reads.PROBABILITIES


def with_backbone(options: Any, shape: tuple[int, ...], context: Context) -> Any:
    """Return a method's options with a backbone for items of a shape, (C, H, W) or (D,), if it trains a whole network.

    Raises UsageError if the backbone that was typed does not fit.
    """
    whole = isinstance(options, CcnOptions | JointOptions) and options.init in (None, Init.RANDOM)
    return suited(options, shape, typed=context.is_given(options, "backbone")) if whole else options


def check_cost(config: ClusterConfig, name: str, count: int, width: int, k: int, *, by_metric: bool = False) -> None:
    """Raise UsageError if the method needs more items, or more memory for N items of D values, than there is.

    `by_metric` says that pairs are cosines of the values, of which `ccn --init g` takes a consensus. Warn if the
    clustering takes more than an hour.
    """
    method = METHODS[config.method]
    if count < method.fewest:
        raise UsageError(f"--method {config.method}: {name} has fewer than {method.fewest} items; use another method")
    by_consensus = by_metric and getattr(config.options, "init", None) is Init.G
    size = size_of(config, count, width, k)
    if by_consensus:
        method, size = METHODS["consensus"], replace(size, width=width)
    if method.memory is None or method.work is None:
        return
    needed, available = method.memory(size), memory()
    if available is not None and needed > available:
        advice = "give --max-pairs or use" if hasattr(config.options, "max_pairs") else "use"
        other = "kmeans" if method is METHODS["consensus"] else "ccn"
        raise UsageError(
            f"--method {config.method}: the {count} items of {name} need about {needed:.0f} bytes of memory "
            f"({needed / GIB:.1f} GiB), this machine (or its container) has {available}; {advice} --method {other}"
        )
    warn_of_hours(f"--method {config.method}: the {count} items of {name}", method.work(size))


def warn_of_hours(what: str, work: float) -> None:
    """Warn if multiplications take more than an hour."""
    seconds = work / SPEED
    if seconds > HOUR:
        log.warning("%s take about %.0f hours", what, max(1, seconds / HOUR))


def size_of(config: ClusterConfig, count: int, width: int, k: int) -> Size:
    """Return the size of a problem of N items, of which the options may sample some for their pairs."""
    limit = getattr(config.options, "max_pairs", None)
    sample = count if limit is None else min(count, int(limit**0.5))
    return Size(items=count, sample=sample, width=width if reads_values(config) else 0, k=k)
