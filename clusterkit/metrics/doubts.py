"""Signs that a result is worthless or unsure, each as one line for the user that ends with the next step."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clusterkit.config import CHARACTERS_FILE, CHARACTERS_G, Kind

CHANCE = 0.05
"""G is better than chance if the recalls of similar and of dissimilar pairs add up to more than 1 + CHANCE."""
WEAK = 0.1
"""G is weak if these recalls add up to less than 1 + WEAK. After one epoch on characters it is, after three or more it
is useful."""
FEWEST = 1.0
"""The similar partners of a mean item below which pairs join next to nothing; each category of two items gives one."""
MANY = 500
"""The categories from which G may find too few similar pairs, however many partners a mean item has. N items of C
categories of equal size have N/C - 1 partners each, so similar pairs as rare as this fit few sets."""
MOST = 0.75
"""The share of similar pairs above which G tells hardly anything apart. Three quarters of the pairs are similar in a
set of two categories, one of which has six times as many items as the other."""
UNSURE = 0.5
"""The margin, the largest probability minus the second, below which an item is doubtful. A clustering is unsure if the
median margin is below it. Networks that were trained to the end have a median above 0.55, even after a short training
of G."""
SURER = 0.1
"""The difference of two median margins from which one clustering is called surer than another."""
APART = 1.5
"""The estimates `ndc` and `consensus` disagree if one is more than APART times the other. Both are within a quarter of
each other for any useful G; `linkage` and the eigengap often are not, so they do not count here."""


def is_chance(scores: Mapping[str, float]) -> bool:
    """Return whether G's pair scores, as of `pair_scores`, are hardly better than chance."""
    return scores["similar_recall"] + scores["dissimilar_recall"] < 1 + CHANCE


def of_g(scores: Mapping[str, float], path: Path | None = None) -> list[str]:
    """Return a warning if G is weak by its scores on held-out classes; empty scores give none.

    `path` is the file of G if the command has not just made it.
    """
    if not scores or scores["similar_recall"] + scores["dissimilar_recall"] >= 1 + WEAK:
        return []
    return [
        f"{'' if path is None else f'{path}: '}G is weak on classes that it has not seen: it finds only "
        f"{scores['similar_recall']:.3f} of their similar pairs and {scores['dissimilar_recall']:.3f} of the "
        "dissimilar ones; train for longer (--epochs), or on a set with more classes or images"
    ]


def of_kind(path: Path, kind: Kind, title: str) -> list[str]:
    """Return a warning if the G of the program reads photos."""
    if path != CHARACTERS_FILE or kind is not Kind.PHOTOS:
        return []
    return [
        f"--g {CHARACTERS_G}: learned from handwritten characters, but {title} holds photos, of which it knows little; "
        "run clusterkit train-g on photos, or clusterkit discover"
    ]


def of_pairs(title: str, signs: Mapping[str, float], count: int, *, by_metric: bool = False) -> list[str]:
    """Return a warning if hardly any or nearly all pairs among the `count` items of a subset are predicted similar.

    `by_metric` says that G is a metric of fixed features, which is not trained for longer.
    """
    advice = "learn G from a set that is more like this one, or use another --backbone"
    advice = advice if by_metric else "train G for longer, or on a set that is more like this one"
    rate = signs["similar_rate"]
    partners = rate * (count - 1)
    categories = count / (partners + 1)
    if partners >= FEWEST and categories > MANY:
        return [
            f"{title}: G finds only {100 * rate:.2g} % of the pairs similar, as in a set of about {categories:.0f} "
            f"categories of equal size; if this set has far fewer, these pairs hardly tell them apart: then {advice}"
        ]
    if partners < FEWEST:
        problem = f"G finds only {partners:.2f} similar partners per item"
    elif rate > MOST:
        problem = f"G predicts {100 * rate:.0f} % of the pairs to be similar"
    else:
        return []
    return [f"{title}: {problem}, so these pairs hardly tell its categories apart; {advice}"]


def median_margin(prob: NDArray[np.floating]) -> float:
    """Return the median over the items of the largest minus the second of their probabilities (N, K); 1 for K = 1.

    Unlike the largest probability, which is never below 1/K, it can be compared between different K.
    """
    if prob.shape[1] < 2:
        return 1.0
    largest = np.partition(prob.astype(np.float64), -2, axis=1)[:, -2:]
    return float(np.median(largest[:, 1] - largest[:, 0]))


def of_clusters(title: str, prob: NDArray[np.floating], *, by_metric: bool = False, joint: bool = False) -> list[str]:
    """Return a warning if a network is unsure of the clusters of most items, by their probabilities (N, K).

    `by_metric` says that G is a metric of fixed features, which decides alone how sure the network is, and `joint` that
    the network learned without pairs.
    """
    median = median_margin(prob)
    if median >= UNSURE:
        return []
    advice = "train for longer (--epochs), or improve the pairs first, by a better G or by --constraints"
    by_features = (
        "learn G from a set that is more like this one, use another --backbone, or label some items (--examples)"
    )
    if joint:
        advice = "train for longer (--epochs), or start from a network of a set that is more like this one (--init)"
    return [
        f"{title}: the clustering is unsure: for half of the items, the largest probability is at most {median:.2f} "
        f"above the second; {by_features if by_metric else advice}"
    ]


def of_replaced(title: str, before: NDArray[np.floating], now: NDArray[np.floating]) -> list[str]:
    """Return a warning if a network is less sure than the one whose clustering it replaces, by their (N, K)."""
    old, new = median_margin(before), median_margin(now)
    if old - new < SURER:
        return []
    return [
        f"{title}: the clustering that was replaced was surer: the median margin between the two largest probabilities "
        f"was {old:.2f} and is now {new:.2f}; repeat the earlier command to have it back"
    ]


def of_one(ks: Mapping[str, int]) -> list[str]:
    """Return a warning for each subset whose K was estimated as 1, which no clustering has, given the K in its place.

    This K is 2, or the number of labels of the examples.
    """
    return [
        f"{title}: k.json estimates only one cluster, so K is {k}; if the set has more categories, give --k N"
        for title, k in ks.items()
    ]


def of_k(title: str, estimates: Mapping[str, int], recommended: int, outputs: int | None) -> list[str]:
    """Return a warning if the estimates of K disagree, if the recommended one is 1, or if no output is empty.

    `outputs` is the number of outputs if all are in use; then the clustering may have joined categories.
    """
    small, large = sorted((estimates["ndc"], estimates["consensus"]))
    problems = []
    if outputs is not None:
        problems.append(f"all {outputs} outputs are in use")
    if large > APART * small:
        problems.append(f"the estimators disagree (ndc {estimates['ndc']}, consensus {estimates['consensus']})")
    elif recommended == 1:
        problems.append("these pairs show one category only")
    if not problems:
        return []
    advice = (
        "look at the clusters and choose K yourself (cluster --k N), or train G for longer"
        if outputs is None
        else "cluster again with a larger --k"
    )
    return [f"{title}: {' and '.join(problems)}, so do not rely on the recommended {recommended}; {advice}"]


def of_communities(title: str, estimates: Mapping[str, int]) -> list[str]:
    """Return a warning if the numbers of communities in the graphs of neighbours disagree, or if they are one."""
    best = estimates["communities"]
    values = [value for name, value in estimates.items() if name not in ("ndc", "spread")]
    if max(values) > APART * min(values):
        problem = f"the graphs of neighbours show from {min(values)} to {max(values)} groups"
    elif best == 1:
        problem = "these pairs show one category only"
    else:
        return []
    return [
        f"{title}: {problem}, so do not rely on the recommended {best}; look at the clusters and choose K yourself "
        "(cluster --k N)"
    ]
