"""The searches of the study of critics: the test sets, and the scores of critics, rivals and judges on each."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterkit.config import Context, Recipe
from clusterkit.critic.local import GAIN
from clusterkit.critic.network import Critic
from clusterkit.critic.read import read_critic, recipe_of
from clusterkit.critic.search import Search, search
from clusterkit.critic.sets import generator_of, pool_of, some
from clusterkit.critic.starts import LADDER, starts
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.device import derive_seed
from clusterkit.methods.common.problem import Items
from clusterkit.methods.common.solve import values
from clusterkit.metrics.clustering import accuracy, nmi
from clusterkit.metrics.label_free import indices

Array = NDArray[np.float64]
Clusters = NDArray[np.int64]
Scores = dict[str, float]
EFFORT = Search()
COPIES = 50
"""Copies of a set with mislabelled points (C2M, section 4.1)."""
THIRD = 3


@dataclass(frozen=True)
class TestSet:
    """Values (N, D) and classes (N,) from 0 of one set, and the seed of what is random on it."""

    __test__ = False

    values: Array
    labels: Clusters
    seed: int


Sets = list[TestSet]


def test_sets(name: str, count: int, points: int | None, context: Context, *, own: bool) -> Sets:
    """Return at most `count` sets: the subsets of a data set or, with `points`, as many random items for each.

    Of a set that critics learn from, `own`, the items of their pool are left out.
    """
    data = load_dataset(name, context.data, offline=context.offline, reading=context.reading).labelled()
    if points is None:
        chosen = list(data.subsets[:count])
    else:
        whole = data.union()
        if own:
            learned = pool_of(data, whole, context.seed)
            whole = whole.take((~torch.isin(whole.ids, learned.ids)).nonzero()[:, 0])
        chosen = [drawn(whole, points, generator_of(context.seed, "tests", number)) for number in range(count)]
    return [test_set(data, subset, context.seed, number) for number, subset in enumerate(chosen)]


def drawn(subset: Subset, points: int, generator: torch.Generator) -> Subset:
    """Return random items of a random number of classes."""
    assert subset.labels is not None
    classes = int(torch.randint(2, len(subset.labels.unique()) + 1, (1,), generator=generator))
    return some(subset, classes, points, generator)


def test_set(data: Dataset, subset: Subset, seed: int, number: int) -> TestSet:
    assert subset.labels is not None
    found = values(Items(subset=subset, kind=data.kind, shape=data.shape), torch.device("cpu"))
    labels = np.unique(subset.labels.numpy(), return_inverse=True)[1]
    return TestSet(found, labels, derive_seed(seed, "c2m", number) % 2**32)


def by_critic(path: Any, sets: Sets, k: int, recipe: Recipe | None = None) -> list[Scores]:
    """Return the scores of the clustering that a critic's search finds in each set; `recipe` is that of the search."""
    header, critic = read_critic(path)
    effort = replace(EFFORT, k=k, recipe=recipe_of(header) if recipe is None else recipe)
    return [of_search(critic, each, effort) for each in sets]


def of_search(critic: Critic, each: TestSet, effort: Search) -> Scores:
    """Return the scores of what is found, and whether the critic scores the truth as the best, or among the best.

    `first`: at least as high as what the search finds. `third`: fewer than three of this and the simple clusterings
    are higher.
    """
    points = critic.read(torch.from_numpy(each.values))
    proposals = starts(points, effort.k, each.seed)
    found = search(critic, points, effort, each.seed, proposals)
    truth = float(critic.scores(points, torch.from_numpy(each.labels)[None])[0])
    above = int((critic.scores(points, proposals) > truth + GAIN).sum())
    is_below = found.score > truth + GAIN
    met = {"first": float(not is_below), "third": float(above + is_below < THIRD)}
    return {**compared(found.assignment.numpy(), each.labels), **met}


def compared(clusters: NDArray[np.integer[Any]], labels: Clusters) -> Scores:
    inside = len(np.unique(clusters[clusters >= 0]))
    return {"acc": accuracy(clusters, labels), "nmi": nmi(clusters, labels), "clusters": float(inside)}


def by_rival(name: str, sets: Sets, k: int) -> list[Scores]:
    """Return the scores of a clustering without a critic of each set."""
    return [compared(RIVALS[name](each, k), each.labels) for each in sets]


def k_means(each: TestSet, k: int) -> Clusters:
    from sklearn.cluster import KMeans

    clusters: Clusters = KMeans(k, n_init=10, random_state=each.seed).fit_predict(each.values).astype(np.int64)
    return clusters


def spectral(each: TestSet, k: int) -> Clusters:
    from clusterkit.studies.common.yardsticks import spectral

    return spectral(each.values, k, each.seed).astype(np.int64)


def hdbscan(each: TestSet, k: int) -> Clusters:
    from sklearn.cluster import HDBSCAN

    clusters: Clusters = HDBSCAN(copy=True).fit_predict(each.values).astype(np.int64)
    return clusters


def by_silhouette(each: TestSet, k: int) -> Clusters:
    """Return the k-means clusters with the best silhouette, of the numbers up to K that a search starts from."""
    most = min(k, len(each.values) - 1)
    tried = [k_means(each, number) for number in LADDER if 1 < number <= most]
    return max(tried, key=lambda clusters: indices(each.values, clusters, each.seed).get("silhouette", -1.0))


RIVALS = {
    "kmeans": lambda each, k: k_means(each, len(np.unique(each.labels))),
    "spectral": lambda each, k: spectral(each, len(np.unique(each.labels))),
    "hdbscan": hdbscan,
    "silhouette": by_silhouette,
}


def judged(path: Any, sets: Sets, k: int) -> list[Scores]:
    """Return the ACC and the clusters of what each judge chooses, in each set, among the same simple clusterings."""
    _, critic = read_critic(path)
    return [of_judges(critic, each, k) for each in sets]


def of_judges(critic: Critic, each: TestSet, k: int) -> Scores:
    points = critic.read(torch.from_numpy(each.values))
    rows = starts(points, k, each.seed)
    by_index = [indices(each.values, row, each.seed) for row in rows.numpy()]
    scores: dict[str, list[float]] = {
        "critic": critic.scores(points, rows).tolist(),
        "silhouette": [one.get("silhouette", -1.0) for one in by_index],
        "calinski_harabasz": [one.get("calinski_harabasz", -1.0) for one in by_index],
        "oracle": [accuracy(row, each.labels) for row in rows.numpy()],
    }
    result = {}
    for judge, grades in scores.items():
        best = rows[int(np.argmax(grades))].numpy()
        result[f"{judge} acc"] = accuracy(best, each.labels)
        result[f"{judge} clusters"] = float(len(np.unique(best)))
    return result


def mislabelled(path: Any, each: TestSet, seed: int) -> list[tuple[float, float]]:
    """Return how many points of a copy are mislabelled, and the copy's score, for 50 copies and the truth.

    Of two classes, mislabelled points have the other one, so that many of them are a renaming.
    """
    _, critic = read_critic(path)
    points = critic.read(torch.from_numpy(each.values))
    labels = torch.from_numpy(each.labels)
    classes, generator = int(labels.max()) + 1, generator_of(seed, "mislabelled")
    numbers = [0, *torch.randint(1, len(labels) + 1, (COPIES,), generator=generator).tolist()]
    copies = torch.stack([changed(labels, number, classes, generator) for number in numbers])
    return list(zip(map(float, numbers), critic.scores(points, copies).tolist(), strict=True))


def changed(labels: Tensor, number: int, classes: int, generator: torch.Generator) -> Tensor:
    """Return labels (N,) of which so many random ones are others."""
    result = labels.clone()
    chosen = torch.randperm(len(labels), generator=generator)[:number]
    result[chosen] = (labels[chosen] + torch.randint(1, classes, (number,), generator=generator)) % classes
    return result
