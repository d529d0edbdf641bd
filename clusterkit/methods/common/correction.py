"""A similarity that corrects features by labels of other classes, in the form that serves kept-out classes best.

z are the rows of (x - centre) / spread @ matrix scaled to length one, and two items belong to one class with the
probability sigmoid(scale z_i . z_j + bias).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clusterkit.methods.common.points import RESTARTS
from clusterkit.methods.common.rounds import SHARE, calibrated_share
from clusterkit.metrics.clustering import accuracy, nmi
from clusterkit.networks.calibration import calibrated, calibrated_without_labels
from clusterkit.networks.evening import (
    OWN,
    PLAIN,
    USUAL,
    Form,
    Labels,
    Values,
    by_content,
    components,
    fitted,
    nearest,
    scaled,
    within_classes,
)
from clusterkit.networks.metric import MOST

FORMS = (PLAIN, OWN, Form(0.5, 0.25), USUAL, Form(0.5, 0.75), Form(0.5, 1))
"""Forms among which kept-out classes choose."""
SPLITS = 6
"""Times that half of the classes are kept out."""
DRAWS = 20
"""Most draws until as many splits as wanted differ."""
FEWEST = 3
"""Fewest classes of two items from which a correction is learned."""
COUNTED = 4
"""Splits in which classes are counted."""
SPLIT_CLASSES = 50
"""Most classes that are kept out at a time."""
SPLIT_ITEMS = 800
"""Most items of kept-out classes that are clustered."""
SPLIT_COMPONENTS = 384
"""Principal components of the features on which the forms are compared."""
SPLIT_NEIGHBOURS = 10
"""Neighbours of an item that are compared with it, and those in the graph that is cut."""
LEAST_GAIN = 0.005
"""Gain that a form must surely have for the usual one to be left. A form without labels needs no such margin."""
TIMES_MEDIAN = 3
"""Items as which a class counts at most, as a multiple of the median size of the classes of two items and more. Else a
class with most of the items would decide alone what varies within classes, and which pairs are similar."""
PAIRS = 20000
"""Most similar and most dissimilar pairs of a split that the calibration reads."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What a form does on kept-out classes: means over splits.

    ACC and NMI are means of k-means and normalised cuts at the known K; `purity` is the share of an item's nearest
    neighbours that are of its class. `acc_error` is the standard error of the gain in ACC over the better form without
    labels.
    """

    form: Form
    acc: float
    nmi: float
    purity: float
    acc_error: float


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A similarity: `centre` (D,) and `spread` of A, `matrix` (D, D'), and the calibration of the cosines.

    `spread` is the root of the mean variance of the features. `within` (D, D) is the covariance within classes of A of
    features divided by it, and (0, 0) where no labels were read. `worth` has the forms
    that were compared, the plain one first. `counting` is the share of the resolution that best counts
    kept-out classes.
    """

    centre: Values
    spread: float
    matrix: Values
    scale: float
    bias: float
    form: Form
    within: Values
    worth: tuple[Worth, ...] = ()
    counting: float = SHARE

    @property
    def is_learned(self) -> bool:
        """Return whether labels were used."""
        return bool(self.worth)

    def summary(self) -> dict[str, Any]:
        """Return the form and what each form was worth, for a header."""
        return {
            "strength": self.form.strength,
            "share": self.form.share,
            "counting": self.counting,
            "worth": [
                {
                    "strength": worth.form.strength,
                    "share": worth.form.share,
                    "acc": worth.acc,
                    "nmi": worth.nmi,
                    "purity": worth.purity,
                    "acc_error": worth.acc_error,
                }
                for worth in self.worth
            ],
        }


class Split(NamedTuple):
    """Scores of a form on kept-out classes, and the cosines (P,) of some of their pairs, similar or not (P,).

    `z` (N, D) and `labels` (N,) are the items themselves.
    """

    acc: float
    nmi: float
    purity: float
    cosines: Values
    similar: NDArray[np.bool_]
    z: Values
    labels: Labels


def learn(x: Values, labels: Labels, seed: int) -> Correction:
    """Return the correction learned from features (N, D) with labels (N,), its form chosen on kept-out classes.

    With fewer than three classes of two items, labels are not read: the result is that of `plain`.
    """
    labels = np.unique(labels, return_inverse=True)[1]
    usable = np.flatnonzero(np.bincount(labels) >= 2)
    if len(usable) < FEWEST:
        return plain(x, seed)
    # Sorted, so that the order of items does not matter to the random draws.
    order = by_content(x)
    order = order[np.argsort(labels[order], kind="stable")]
    labels = labels[order]
    x, centre, spread = standardised(x[order])
    splits = _splits(x, labels, usable, seed)
    form = _chosen(splits)
    # G is for classes of other sizes than those of A, whose own rate of similar pairs says nothing of them.
    scale, bias = calibrated(
        np.concatenate([split[form].cosines for split in splits]),
        np.concatenate([split[form].similar for split in splits]),
        rate=1 / len(usable),
    )
    within = within_classes(x, labels, most_of(labels))
    matrix = fitted(x, within, form, seed)[1]
    without = max((PLAIN, OWN), key=lambda form: _mean_acc(form, splits))
    worth = tuple(_worth(form, without, splits) for form in FORMS)
    counting = calibrated_share([(split[form].z, split[form].labels) for split in splits[:COUNTED]], seed)
    return Correction(
        centre=centre, spread=spread, matrix=matrix, scale=scale, bias=bias, form=form, within=within, worth=worth,
        counting=counting,
    )  # fmt: skip


def plain(x: Values, seed: int) -> Correction:
    """Return the similarity of features (N, D) themselves, of at most MOST random items; it reads no labels."""
    nothing, order = np.zeros((0, 0)), by_content(x)
    if len(x) > MOST:
        order = np.random.default_rng(seed).permutation(order)[:MOST]
    x, centre, spread = standardised(x[order])
    matrix = fitted(x, nothing, OWN, seed)[1]
    scale, bias = calibrated_without_labels(scaled(x @ matrix))
    return Correction(centre=centre, spread=spread, matrix=matrix, scale=scale, bias=bias, form=OWN, within=nothing)


def most_of(labels: Labels) -> int:
    """Return as how many items a class counts at most, among classes from 0 of which one has two items or more."""
    counts = np.bincount(labels)
    return int(TIMES_MEDIAN * np.median(counts[counts >= 2]))


def standardised(x: Values) -> tuple[Values, Values, float]:
    """Return (x - centre) / spread for features (N, D), their mean (D,), and the root of their mean variance.

    The spread of equal features is 1.
    """
    x = np.asarray(x, np.float64)
    centre: Values = x.mean(0)
    moved = x - centre
    # The squares of very small or large values are no numbers.
    largest = float(np.abs(moved).max()) or 1.0
    spread = largest * float(np.sqrt(np.mean((moved / largest) ** 2))) or 1.0
    return moved / spread, centre, spread


def _splits(x: Values, labels: Labels, usable: Labels, seed: int) -> list[dict[Form, Split]]:
    """Return for each split what each form does on the classes that it keeps out.

    `usable` are the classes of two items and more. Half of them are kept out, two at least. No two splits keep
    out the same classes; three classes give three splits.
    """
    moved = x - x.mean(0)
    width = int((moved.std(0) > 0).sum()) or 1
    moved = moved @ components(moved, SPLIT_COMPONENTS)
    generator = np.random.default_rng(seed)
    most = most_of(labels)
    even = np.concatenate([np.flatnonzero(labels == number)[:most] for number in usable])
    splits: dict[bytes, dict[Form, Split]] = {}
    for number in range(DRAWS):
        # Of an odd number of classes, the larger half is kept out every second time.
        count = min(max(2, (len(usable) + number % 2) // 2), SPLIT_CLASSES)
        kept = np.isin(labels, generator.permutation(usable)[:count])
        items = np.sort(generator.permutation(even[kept[even]])[:SPLIT_ITEMS])
        # The same classes twice would make the standard errors too small, whichever of their items are drawn.
        if kept.tobytes() in splits:
            continue
        within = within_classes(moved[~kept], labels[~kept], most)
        splits[kept.tobytes()] = {
            form: _split(moved[items], labels[items], within, form, seed, width) for form in FORMS
        }
        if len(splits) == SPLITS:
            break
    return list(splits.values())


def _split(x: Values, labels: Labels, within: Values, form: Form, seed: int, width: int) -> Split:
    """Return what a form does on features (N, D) of kept-out classes, given the covariance (D, D) within the others."""
    centre, matrix = fitted(x, within, form, seed, width)
    z = scaled((x - centre) @ matrix)
    k = len(np.unique(labels))
    near = nearest(z, SPLIT_NEIGHBOURS)
    clusterings = _clusterings(z, near, k, seed)
    return Split(
        float(np.mean([accuracy(clusters, labels) for clusters in clusterings])),
        float(np.mean([nmi(clusters, labels) for clusters in clusterings])),
        float((labels[near] == labels[:, None]).mean()),
        *_pairs(z, labels, seed),
        z,
        labels,
    )


def _clusterings(z: Values, near: NDArray[np.int64], k: int, seed: int) -> list[NDArray[np.int32]]:
    """Return clusters (N,) of z (N, D): by k-means, and by normalised cuts of the neighbours (N, count)."""
    from sklearn.cluster import KMeans, SpectralClustering

    graph = np.zeros((len(near), len(near)))
    np.put_along_axis(graph, near, 0.5, axis=1)
    cuts = SpectralClustering(min(k, len(near) - 1), affinity="precomputed", random_state=seed)
    with warnings.catch_warnings():
        # Fewer different items than clusters, and graphs of several parts, are fine here.
        warnings.simplefilter("ignore")
        return [
            KMeans(k, n_init=RESTARTS, random_state=seed).fit_predict(z),
            cuts.fit_predict(graph + graph.T),
        ]


def _pairs(z: Values, labels: Labels, seed: int) -> tuple[Values, NDArray[np.bool_]]:
    """Return the cosines (P,) of some similar and some dissimilar pairs of z (N, D), and which are similar (P,)."""
    one, two = np.triu_indices(len(z), 1)
    same = labels[one] == labels[two]
    generator = np.random.default_rng(seed)
    chosen = np.concatenate([generator.permutation(np.flatnonzero(kind))[:PAIRS] for kind in (same, ~same)])
    return (z[one[chosen]] * z[two[chosen]]).sum(1), same[chosen]


def _chosen(splits: Sequence[dict[Form, Split]]) -> Form:
    """Return the form whose gain over the usual one most exceeds its standard error over splits, if it does by enough.

    Else return the usual one, unless the better one of the forms without labels exceeds it by the standard error.
    """

    def gain(form: Form) -> tuple[float, float]:
        return _gain([np.mean(split[form][:3]) - np.mean(split[USUAL][:3]) for split in splits])

    def sure_gain(form: Form) -> float:
        mean, error = gain(form)
        return mean - error

    best = max(FORMS, key=sure_gain)
    if sure_gain(best) > LEAST_GAIN:
        return best
    alone = max((PLAIN, OWN), key=lambda form: gain(form)[0])
    return alone if sure_gain(alone) > 0 else USUAL


def _gain(differences: Sequence[float]) -> tuple[float, float]:
    """Return the mean of differences over splits, and its standard error."""
    return float(np.mean(differences)), float(np.std(differences, ddof=1) / np.sqrt(len(differences)))


def _mean_acc(form: Form, splits: Sequence[dict[Form, Split]]) -> float:
    return float(np.mean([split[form].acc for split in splits]))


def _worth(form: Form, without: Form, splits: Sequence[dict[Form, Split]]) -> Worth:
    """Return what a form does, given the better form without labels."""
    return Worth(
        form=form,
        acc=_mean_acc(form, splits),
        nmi=float(np.mean([split[form].nmi for split in splits])),
        purity=float(np.mean([split[form].purity for split in splits])),
        acc_error=_gain([split[form].acc - split[without].acc for split in splits])[1],
    )
