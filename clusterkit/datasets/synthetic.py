"""Point clouds in the plane with known clusters, the usual small tests of a clustering method."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source

POINTS = 600

SET_POINTS, MOST_CLUSTERS = 200, 9
"""Points of each of many sets, and the largest number of their clusters (C2M, table 1)."""
APART = 5.0
"""Smallest distance of two centres, in standard deviations: so that nearly all points can be told apart."""
OBLIQUE = np.array([[0.6, -0.6], [-0.4, 0.8]])

Floats = NDArray[np.float64]


def blobs(labels: Floats, random: np.random.Generator) -> Floats:
    """Return five round clusters around a circle."""
    angle = 2 * np.pi * labels / 5
    return 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(0, 0.6, (len(labels), 2))


def anisotropic(labels: Floats, random: np.random.Generator) -> Floats:
    """Return three long, oblique clusters side by side."""
    points = random.normal(0, 1, (len(labels), 2)) * [3.0, 0.4]
    points[:, 1] += 3 * (labels - 1)
    turned: Floats = points @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    return turned


def moons(labels: Floats, random: np.random.Generator) -> Floats:
    """Return two interlocking half circles."""
    angle = np.pi * random.random(len(labels))
    x = np.where(labels == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(labels == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], 1) + random.normal(0, 0.05, (len(labels), 2))


def circles(labels: Floats, random: np.random.Generator) -> Floats:
    """Return two circles, one within the other."""
    angle = 2 * np.pi * random.random(len(labels))
    radius = np.where(labels == 0, 1.0, 0.5)
    ring: Floats = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return ring + random.normal(0, 0.04, (len(labels), 2))


SHAPES: dict[str, tuple[Callable[[Floats, np.random.Generator], Floats], int]] = {
    "blobs": (blobs, 5),
    "anisotropic": (anisotropic, 3),
    "moons": (moons, 2),
    "circles": (circles, 2),
}


def load(request: Request) -> Raw:
    """Draw the points of a shape, float32 (600, 2), with clusters of equal size in random order."""
    shape, count = SHAPES[request.argument]
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(POINTS) % count)
    points = shape(labels.astype(np.float64), random).round(4).astype(np.float32)
    return Raw(torch.from_numpy(points), torch.from_numpy(labels), tuple(str(n) for n in range(count)))


def centres(count: int, random: np.random.Generator) -> Floats:
    """Return the centres of round clusters in a square, float64 (count, 2), each at least APART from the others."""
    chosen: list[Floats] = []
    while len(chosen) < count:
        centre = random.uniform(-10, 10, 2)
        if all(np.linalg.norm(centre - other) >= APART for other in chosen):
            chosen.append(centre)
    return np.array(chosen)


def drawn(shape: str, count: int, random: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Return the points of one set, float64 (200, 2), and their clusters: so many blobs, or the two of the shape.

    As scikit-learn makes them, moons and circles have points at equal distances, then moved by a noise of 0.05.
    """
    if shape not in ("blobs", "anisotropic"):
        labels = np.arange(SET_POINTS) % 2
        place = np.arange(SET_POINTS) // 2
        if shape == "moons":
            angle = np.pi * place / (SET_POINTS // 2 - 1)
            turned = np.where(labels == 0, angle, -angle)
            points = np.stack([np.cos(angle) * (1 - 2 * labels) + labels, np.sin(turned) + 0.5 * labels], 1)
        else:
            angle = 2 * np.pi * place / (SET_POINTS // 2)
            points = (1 - labels / 2)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        order = random.permutation(SET_POINTS)
        return (points + random.normal(0, 0.05, points.shape))[order], labels[order]
    labels = random.permutation(np.arange(SET_POINTS) % count)
    points = centres(count, random)[labels] + random.normal(0, 1, (SET_POINTS, 2))
    return points @ OBLIQUE if shape == "anisotropic" else points, labels


def load_many(request: Request, shape: str, count: int, seed: int) -> Raw:
    """Draw sets of one shape, float32 (count * 200, 2); each set is a subset, with clusters named SET/NUMBER.

    The numbers of blobs take turns.
    """
    random = np.random.default_rng(seed)
    titles = [f"set{number:02d}" for number in range(1, count + 1)]
    points, labels = [], []
    names: list[str] = []
    for number, title in enumerate(titles):
        some, clusters = drawn(shape, 2 + number % (MOST_CLUSTERS - 1), random)
        points.append(some.round(4).astype(np.float32))
        labels.append(clusters + len(names))
        names += [f"{title}/{cluster}" for cluster in range(1, clusters.max() + 2)]
    return Raw(
        torch.from_numpy(np.concatenate(points)),
        torch.from_numpy(np.concatenate(labels)),
        tuple(names),
        torch.arange(count).repeat_interleave(SET_POINTS),
        tuple(titles),
    )


def many(shape: str, count: int, seed: int, target: str | None = None) -> Source:
    return Source(
        partial(load_many, shape=shape, count=count, seed=seed),
        Kind.VECTORS,
        f"{count} sets of {SET_POINTS} points in the plane, each a subset: {shape}; embedded",
        channels=None,
        subsets=tuple(f"set{number:02d}" for number in range(1, count + 1)),
        target=target,
    )


SOURCES = {
    "blobs_bg": many("blobs", count=20, seed=1, target="blobs_eval"),
    **{f"{shape}_eval": many(shape, count=50, seed=seed) for seed, shape in enumerate(SHAPES, 2)},
}

PREFIXES = {
    "synthetic": Source(
        load,
        Kind.VECTORS,
        f"{POINTS} points in the plane: {', '.join(SHAPES)}; embedded",
        channels=None,
        subsets=tuple(SHAPES),
    ),
}
