"""The number of categories in a set from labelled probe classes, which are clustered together with it.

Han, Vedaldi and Zisserman (2019), "Learning to Discover Novel Visual Categories via Deep Transfer Clustering", 3.3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterkit.metrics.clustering import Labels, accuracy

Matrix = NDArray[np.floating]
Groups = NDArray[np.int64]

FEWEST = 3
"""Fewest probe classes: one anchor, and two validation classes, which a clustering can join or split."""
ANCHORS = 0.6
"""Share of the probe classes that are anchors, whose items keep their clusters."""
SMALL = 0.01
"""Share of the largest cluster below which a cluster is not counted."""
FIRST = 20
"""Numbers of new clusters tried first, evenly spaced."""
PASSES = 100
"""Most passes of k-means."""
MOVES = 0.001
"""K-means ends when at most this share of the items has changed its cluster."""


@dataclass(frozen=True)
class ProbeEstimate:
    """The estimate `k`, and the numbers of new clusters by whose mean it was found, each the best by its measure."""

    k: int
    by_silhouette: int
    by_accuracy: int


def probe_estimate(target: Matrix, probe: Matrix, labels: Labels, most: int, seed: int) -> ProbeEstimate:
    """Return the number of categories of `target` (N, D), of which 1 to `most` are tried.

    `probe` (M, D) are items of at least FEWEST classes `labels` (M,). ANCHORS of the classes, drawn at random, keep
    their clusters. The others are validation classes, clustered together with the target into their own number of
    clusters plus k new ones, for each number k that is tried: FIRST evenly spaced ones, then ever nearer ones on both
    sides of the best (the paper tries all). One best k has the largest silhouette of the target, the other the largest
    ACC of the validation classes. With their mean, rounded, the items are clustered once more, and k is the number
    of clusters with at least SMALL of the target's items in the largest, and at least two: single items stray into
    clusters of probe classes, and in a small target no cluster is below SMALL of the largest.
    """
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(labels))
    anchors, others = np.split(classes, [int(ANCHORS * len(classes))])
    free = np.isin(labels, others)
    problem = Anchored.of(np.concatenate([target, probe[free]]), [probe[labels == name] for name in anchors])
    starts = problem.starts(len(classes) + min(most, len(target) - 1), rng)
    most = max(1, len(starts) - len(classes))
    distances = distances_of(problem.free[: len(target)])
    tried: dict[int, tuple[float, float]] = {}

    def clusters(k: int) -> Groups:
        return problem.clusters(starts[: len(classes) + k])

    def score(k: int) -> None:
        if 1 <= k <= most and k not in tried:
            groups = clusters(k)
            tried[k] = silhouette(distances, groups[: len(target)]), accuracy(groups[len(target) :], labels[free])

    def best(measure: int) -> int:
        largest = max(scores[measure] for scores in tried.values())
        equal = sorted(k for k, scores in tried.items() if scores[measure] == largest)
        return equal[len(equal) // 2]

    step = -(-most // FIRST)
    for k in range(1, most + 1, step):
        score(k)
    while step > 1:
        step = (step + 1) // 2
        for k in {best(0), best(1)}:
            score(k - step)
            score(k + step)
    mean = (best(0) + best(1) + 1) // 2
    sizes = np.bincount(clusters(mean)[: len(target)])
    counted = int((sizes >= max(2, SMALL * sizes.max())).sum())
    return ProbeEstimate(max(1, counted), best(0), best(1))


@dataclass(frozen=True)
class Anchored:
    """Items `free` (N, D) to be clustered by k-means beside anchors, which keep their clusters, the first A.

    `sums` (A, D) and `sizes` (A,) are those of the anchors' items. Values are float32, from the mean of the free items.
    """

    free: Matrix
    sums: Matrix
    sizes: NDArray[np.floating]

    @staticmethod
    def of(free: Matrix, anchors: list[Matrix]) -> "Anchored":
        """Return the problem of free items (N, D) and the items (M, D) of each anchor."""
        mean = free.mean(0)
        sums = np.stack([(items - mean).sum(0) for items in anchors])
        sizes = np.array([len(items) for items in anchors])
        return Anchored((free - mean).astype(np.float32), sums.astype(np.float32), sizes.astype(np.float32))

    def starts(self, count: int, rng: np.random.Generator) -> Matrix:
        """Return the anchors' means and then items, `count` centres (K, D), by greedy k-means++ (Arthur 2007).

        The first centres are those for a smaller count. There are fewer if no item lies apart from those before.
        """
        centres = list(self.sums / self.sizes[:, None])
        squares = (self.free**2).sum(1)
        # Distances below it are rounding, because sums of squares are float32.
        rounding = 1e-5 * float(squares.mean())

        def squared(points: Matrix) -> Matrix:
            distance = squares + (points**2).sum(1)[:, None] - 2 * points @ self.free.T
            return np.where(distance > rounding, distance, 0).astype(np.float64)

        nearest = squared(np.stack(centres)).min(0)
        trials = 2 + int(np.log(count))
        while len(centres) < count and nearest.sum() > 0:
            drawn = np.searchsorted(nearest.cumsum(), rng.random(trials) * nearest.sum(), side="right")
            points = self.free[drawn.clip(max=len(self.free) - 1)]
            options = np.minimum(nearest, squared(points))
            choice = int(options.sum(1).argmin())
            nearest = options[choice]
            centres.append(points[choice])
        return np.stack(centres)

    def clusters(self, starts: Matrix) -> Groups:
        """Return the clusters (N,) of the free items by k-means from centres (K, D), of which the first A are anchors.

        A centre is the mean of its free items and, if it is an anchor, of the anchor's. A cluster that loses its items
        keeps its centre.
        """
        from scipy.sparse import csr_matrix

        count, k = len(self.free), len(starts)
        centres, groups = starts, np.full(count, -1)
        sums, sizes = np.zeros_like(starts), np.zeros(k, starts.dtype)
        sums[: len(self.sums)], sizes[: len(self.sizes)] = self.sums, self.sizes
        ones, ends = np.ones(count, starts.dtype), np.arange(count + 1)
        for _ in range(PASSES):
            before, groups = groups, (0.5 * (centres**2).sum(1) - self.free @ centres.T).argmin(1)
            if (groups != before).sum() <= MOVES * count:
                break
            members = csr_matrix((ones, groups, ends), (count, k))
            total = sizes + np.bincount(groups, minlength=k)
            filled = total > 0
            centres = centres.copy()
            centres[filled] = ((sums + members.T @ self.free)[filled] / total[filled, None]).astype(starts.dtype)
        return groups


def distances_of(points: Matrix) -> Matrix:
    """Return the distances (N, N) of points (N, D)."""
    from sklearn.metrics import pairwise_distances

    distances: Matrix = pairwise_distances(points)
    return distances


def silhouette(distances: Matrix, groups: Groups) -> float:
    """Return the mean silhouette of groups (N,) by distances (N, N) (Rousseeuw 1987); -1 if it is not defined."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(groups)) < len(groups):
        return -1.0
    return float(silhouette_score(distances, groups, metric="precomputed"))
