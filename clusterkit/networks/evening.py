"""The metric of a correction: features that vary evenly within classes.

A covariance C is mixed of the covariance within classes of A and that within neighbourhoods of the items themselves,
each with a mean variance of one. Features times ((1 - strength) I + strength C)^(-1/2) vary more evenly within a class,
so that distances between classes count for more. Then come their principal components, each weighted by the share of
its variance that C does not explain.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Float = TypeVar("Float", bound=np.floating[Any])

NEIGHBOURS = 15
"""Neighbours whose mean stands for the centre of an item's class."""
SAMPLE = 5000
"""Most items among which neighbours are sought."""
PLAIN_COMPONENTS = 64
"""Most components of features that are not evened, or not yet."""
COMPONENTS = 128
"""Most components of evened features."""
NOISE = 1.3
"""Variance below which a component is left out, as a multiple of the largest variance within neighbourhoods."""
ROUNDING = 1e-12
"""Deviation from the mean of a class that is one of rounding, as a share of the features."""
LEAST_WEIGHT = 0.02
"""Least weight of a component that is kept."""


class Form(NamedTuple):
    """Strength of the evening, and share of the labels of A in it; the rest comes from the items' neighbourhoods."""

    strength: float
    share: float


PLAIN = Form(0, 0)
"""The features as they are, centred."""
OWN = Form(0.5, 0)
"""Form that needs no labels."""
USUAL = Form(0.5, 0.5)
"""Form that labels of other classes are best used in, over several sets of photos."""


def fitted(x: Values, within: Values, form: Form, seed: int, width: int = 0) -> tuple[Values, Values]:
    """Return the centre (D,) and the matrix (D, D') of a form of evening for features (N, D).

    `within` (D, D) is the covariance within classes of A; without one, which is (0, 0) or zero, neighbourhoods alone
    count. `width` is the number of features if these D are only their principal components.
    """
    x = np.asarray(x, np.float64)
    centre: Values = x.mean(0)
    moved = x - centre
    width = width or int((moved.std(0) > 0).sum()) or 1
    matrix = components(moved, PLAIN_COMPONENTS)
    if not form.strength:
        return centre, matrix
    share = form.share if within.any() else 0.0
    if share:
        within = unit(within, width)
        evened, _ = evening(within, form.strength)
        matrix = evened @ components(moved @ evened, PLAIN_COMPONENTS)
    near = within_neighbourhoods(moved, scaled(moved @ matrix), seed)
    covariance = (1 - share) * unit(near, width)
    if share:
        covariance += share * within
    evened, largest = evening(covariance, form.strength)
    noise = NOISE * float(np.trace(near)) / width * largest
    return centre, evened @ components(moved @ evened, COMPONENTS, noise)


def scaled(rows: NDArray[Float], least: float = 0) -> NDArray[Float]:
    """Return rows (N, D) scaled to length one, and rows that are not longer than `least` by this; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    divisor: Any = np.where(lengths > least, lengths, least or 1)
    result: NDArray[Float] = rows / divisor
    return result


def by_content(x: Values) -> Labels:
    """Return the positions (N,) of rows (N, D) in an order that depends on their values alone."""
    # Bytes of big-endian numbers compare as the numbers do, but for signs. Adding zero makes negative zeros positive.
    rows = np.ascontiguousarray(x + 0, x.dtype.newbyteorder(">"))
    return np.argsort(rows.view(f"V{rows.dtype.itemsize * rows.shape[1]}")[:, 0], kind="stable")


def within_classes(x: Values, labels: Labels, most: float = np.inf) -> Values:
    """Return the unbiased covariance (D, D) within classes of centred features (N, D).

    A class weighs as much as `most` items of it at most. The covariance is zero if each item is a class, and if classes
    vary by rounding alone.
    """
    _, labels = np.unique(labels, return_inverse=True)
    counts = np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    starts = np.r_[0, counts.cumsum()[:-1]]
    rest = np.asarray(x, np.float64)[order]
    rest -= np.repeat(np.add.reduceat(rest, starts) / counts[:, None], counts, axis=0)
    if np.linalg.norm(rest) < ROUNDING * np.linalg.norm(x):
        rest[:] = 0
    weights = np.minimum(1, most / counts)
    rest *= np.repeat(np.sqrt(weights), counts)[:, None]
    covariance: Values = rest.T @ rest / max(1, (weights * (counts - 1)).sum())
    return covariance


def within_neighbourhoods(x: Values, z: Values, seed: int) -> Values:
    """Return the mean (D, D) of r r', with r = x less the mean of the item's nearest neighbours by z (N, D').

    Of many items, a sample drawn with the seed is taken.
    """
    if len(x) > SAMPLE:
        chosen = np.random.default_rng(seed).choice(len(x), SAMPLE, replace=False)
        x, z = x[chosen], z[chosen]
    if len(x) < 2:
        return np.zeros((x.shape[1], x.shape[1]))
    near = nearest(z, NEIGHBOURS)
    mean = sum(x[column] for column in near.T) / near.shape[1]
    rest = x - mean
    covariance: Values = rest.T @ rest / len(x)
    return covariance


def nearest(z: Values, count: int) -> NDArray[np.int64]:
    """Return the positions (N, count) of the items with the largest z_i . z_j, without the item itself.

    Of N items there are at most N - 1. Rows are of length one, (N, D).
    """
    count = min(count, len(z) - 1)
    parts = []
    for start in range(0, len(z), 1000):
        cosines = z[start : start + 1000] @ z.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        parts.append(np.argpartition(-cosines, count - 1, axis=1)[:, :count])
    return np.concatenate(parts)


def unit(covariance: Values, width: int) -> Values:
    """Return a covariance (D, D) divided by its mean variance over `width` features."""
    mean = np.trace(covariance) / width
    result: Values = covariance / mean if mean > 0 else covariance
    return result


def evening(covariance: Values, strength: float) -> tuple[Values, float]:
    """Return ((1 - strength) I + strength C)^(-1/2) and the largest variance that is left of C (D, D)."""
    values, vectors = np.linalg.eigh(covariance)
    values = values.clip(0)
    gains = 1 / np.sqrt(1 - strength + strength * values)
    return (vectors * gains) @ vectors.T, float((values * gains**2).max())


def components(x: Values, most: int, noise: float = 0) -> Values:
    """Return the leading principal components (D, D') of centred features (N, D), in order of variance.

    Each is weighted by the share of its variance above the noise. Those below it are left out, except the first two.
    """
    from scipy.linalg import eigh

    count = min(most, x.shape[1])
    variances, vectors = eigh(x.T @ x / len(x), subset_by_index=(x.shape[1] - count, x.shape[1] - 1))
    variances, vectors = variances[::-1], vectors[:, ::-1]
    floor = max(noise, 1e-9 * variances[0])
    kept = max(min(2, count), int((variances > floor).sum()))
    variances, vectors = variances[:kept].clip(max(floor, 1e-300)), vectors[:, :kept]
    # The sign of a component is arbitrary; this one does not depend on the order of items.
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(kept)])
    result: Values = vectors * signs * (1 - noise / variances).clip(LEAST_WEIGHT)
    return result
