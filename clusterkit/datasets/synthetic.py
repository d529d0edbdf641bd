"""Point clouds in the plane with known clusters, the usual small tests of a clustering method."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source

POINTS = 600

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


PREFIXES = {
    "synthetic": Source(
        load,
        Kind.VECTORS,
        f"{POINTS} points in the plane: {', '.join(SHAPES)}; embedded",
        channels=None,
        subsets=tuple(SHAPES),
    ),
}
