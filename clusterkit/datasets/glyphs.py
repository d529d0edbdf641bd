"""Made-up alphabets that the program draws itself: they need no download and are the same on every machine.

A character is a few cubic Bezier strokes between points of a coarse grid. Each writer has a pen width and a slant, and
no two drawings are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source

CHARACTERS = 20
WRITERS = 20
PROPOSALS = 40
BLOCK = 16
"""Images drawn at a time, few enough for the temporary arrays to stay in the processor's cache."""
SUBPIXELS = 64
"""Coordinates are rounded to 1 / SUBPIXELS of a pixel, so that float rounding cannot change the images."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Alphabet:
    """The style of an alphabet: a grid of `grid` x `grid` points, and `fewest` to `most` strokes per character.

    `bend` scales how far curved strokes bend. `straight` and `rings` are the shares of straight strokes and of rings.
    """

    name: str
    seed: int
    grid: int
    fewest: int
    most: int
    bend: float
    straight: float
    rings: float


BACKGROUND = (
    Alphabet("Avonic", 0, 3, 2, 3, 0.7, 0.5, 0.0),
    Alphabet("Belthan", 1, 3, 3, 4, 0.0, 1.0, 0.0),
    Alphabet("Corvish", 2, 4, 2, 3, 1.0, 0.1, 0.1),
    Alphabet("Dunmar", 3, 4, 2, 4, 0.5, 0.7, 0.1),
    Alphabet("Estric", 12, 3, 2, 3, 0.8, 0.3, 0.3),
    Alphabet("Fenwold", 5, 5, 3, 4, 0.4, 0.6, 0.0),
    Alphabet("Galdine", 6, 4, 2, 3, 0.9, 0.0, 0.0),
    Alphabet("Hestian", 7, 3, 3, 4, 0.6, 0.6, 0.2),
    Alphabet("Iluvane", 8, 5, 2, 3, 0.8, 0.2, 0.2),
    Alphabet("Jorrick", 9, 4, 3, 4, 0.2, 0.9, 0.0),
    Alphabet("Kelmoor", 10, 3, 2, 4, 0.7, 0.4, 0.1),
    Alphabet("Luthien", 11, 4, 3, 4, 0.9, 0.3, 0.0),
)
EVALUATION = (
    Alphabet("Morwen", 100, 4, 2, 3, 0.8, 0.3, 0.1),
    Alphabet("Nastric", 101, 3, 3, 4, 0.4, 0.7, 0.1),
    Alphabet("Ostrava", 102, 4, 2, 4, 0.7, 0.5, 0.2),
)


def bezier(start: Floats, end: Floats, first: float, second: float) -> Floats:
    """Return the control points (4, 2) of a stroke that bends sideways by shares `first` and `second` of its length."""
    along = end - start
    across = np.array([-along[1], along[0]])
    return np.stack([start, start + along / 3 + first * across, start + along * 2 / 3 + second * across, end])


def propose(style: Alphabet, random: np.random.Generator) -> Floats:
    """Return the strokes (T, 4, 2) of one character, whose longer side spans -1 to 1."""
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, style.grid)] * 2), -1).reshape(-1, 2)
    strokes: list[Floats] = []
    joined: list[set[int]] = []
    last = None
    for _ in range(random.integers(style.fewest, style.most + 1)):
        start, end = random.choice(len(points), 2, replace=False)
        if last is not None and random.random() < 0.5:
            start = last
        while np.abs(points[end] - points[start]).max() < 0.6 or {start, end} in joined:
            start, end = random.choice(len(points), 2, replace=False)
        joined.append({start, end})
        first, second = style.bend * random.uniform(0.4, 1, 2) * random.choice([-1, 1], 2)
        kind = random.random()
        last = end
        if kind < style.rings:
            strokes.append(bezier(points[start], points[end], 0.65, 0.65))
            strokes.append(bezier(points[end], points[start], 0.65, 0.65))
            last = start
        elif kind < style.rings + style.straight:
            strokes.append(bezier(points[start], points[end], 0, 0))
        else:
            strokes.append(bezier(points[start], points[end], first, second))
    drawn = trace(np.stack(strokes), 16)
    low, high = drawn.min((0, 1)), drawn.max((0, 1))
    filled: Floats = (np.stack(strokes) - (low + high) / 2) * (2 / (high - low).max())
    return filled


def trace(strokes: Floats, count: int) -> Floats:
    """Return `count` points along each stroke: (T, 4, 2) to (T, count, 2)."""
    t = np.linspace(0, 1, count)[:, None]
    basis = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    points: Floats = np.einsum("sp,tpc->tsc", basis, strokes)
    return points


def draw(strokes: Floats, owner: Integers, pen: Floats, size: int) -> NDArray[np.uint8]:
    """Draw strokes (T, 4, 2), in -1 to 1, and return images, uint8 (N, size, size).

    `owner` (T,) is the number of the image that a stroke belongs to, in ascending order. `pen` (N,) is the radius of
    each image's pen as a share of `size`.
    """
    radius = np.rint(pen * size * SUBPIXELS).astype(np.int64)
    reach = int(radius.max()) // SUBPIXELS + 1
    steps = np.arange(-reach, reach + 1)
    dy, dx = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
    images = np.zeros((len(pen), size, size), dtype=np.uint8)
    for begin in range(0, len(pen), BLOCK):
        block = slice(*np.searchsorted(owner, [begin, begin + BLOCK]))
        points = trace(strokes[block], 2 * size).reshape(-1, 2)
        image = owner[block].repeat(2 * size)
        position = np.rint(((points + 1) * size / 2 - 0.5) * SUBPIXELS).astype(np.int64)
        pixel = (position + SUBPIXELS // 2) // SUBPIXELS
        x, y = pixel[:, :1] + dx, pixel[:, 1:] + dy
        square = (x * SUBPIXELS - position[:, :1]) ** 2 + (y * SUBPIXELS - position[:, 1:]) ** 2
        edge = radius[image][:, None] + SUBPIXELS / 2 - np.sqrt(square)
        ink = np.rint(np.clip(edge / SUBPIXELS, 0, 1) * 255).astype(np.uint8)
        inside = (ink > 0) & (x >= 0) & (x < size) & (y >= 0) & (y < size)
        flat = (image[:, None] * size + y) * size + x
        np.maximum.at(images.reshape(-1), flat[inside], ink[inside])
    return images


def invent(style: Alphabet, random: np.random.Generator) -> list[Floats]:
    """Return the characters of an alphabet: each is the proposal that differs most from those chosen before."""
    proposals = [propose(style, random) for _ in range(PROPOSALS)]
    owner = np.arange(PROPOSALS).repeat([len(strokes) for strokes in proposals])
    blurred = draw(np.concatenate(proposals) * 0.7, owner, np.full(PROPOSALS, 0.08), 20)
    flat = blurred.reshape(PROPOSALS, -1).astype(np.float64)
    flat /= np.sqrt((flat**2).sum(1, keepdims=True))
    likeness = flat @ flat.T
    chosen = [0]
    while len(chosen) < CHARACTERS:
        chosen.append(int(likeness[chosen].max(0).argmin()))
    return [proposals[number] for number in sorted(chosen)]


def write(characters: list[Floats], random: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Return a drawing of every character by every writer, uint8 (characters * WRITERS, size, size)."""
    count = len(characters) * WRITERS
    slant = np.tile(random.uniform(-0.2, 0.2, WRITERS), len(characters))
    pen = np.tile(random.uniform(0.026, 0.05, WRITERS), len(characters))
    angle = random.uniform(-0.25, 0.25, count)
    stretch = random.uniform(0.48, 0.7, (count, 1)) * random.uniform(0.88, 1.12, (count, 2))
    shift = random.uniform(-0.22, 0.22, (count, 1, 2))
    cosine, sine = np.cos(angle), np.sin(angle)
    affine = np.stack([cosine, slant * cosine - sine, sine, slant * sine + cosine], 1).reshape(-1, 2, 2)
    affine *= stretch[:, None]
    strokes = [strokes for strokes in characters for _ in range(WRITERS)]
    owner = np.arange(count).repeat([len(drawing) for drawing in strokes])
    points = np.concatenate(strokes)
    points = points + random.uniform(-0.1, 0.1, points.shape)
    return draw(np.einsum("tij,tpj->tpi", affine[owner], points) + shift[owner], owner, pen, size)


def load(request: Request, alphabets: Sequence[Alphabet]) -> Raw:
    """Draw the alphabets in bright ink on dark; classes are named ALPHABET/characterNN, each alphabet is a subset."""
    images = []
    for style in alphabets:
        random = np.random.default_rng(style.seed)
        images.append(write(invent(style, random), random, request.size))
    drawn = torch.from_numpy(np.concatenate(images))[:, None]
    count = len(alphabets) * CHARACTERS
    return Raw(
        drawn.repeat(1, request.channels or 1, 1, 1),
        torch.arange(count).repeat_interleave(WRITERS),
        tuple(f"{style.name}/character{n:02d}" for style in alphabets for n in range(1, CHARACTERS + 1)),
        torch.arange(len(alphabets)).repeat_interleave(CHARACTERS * WRITERS),
        tuple(style.name for style in alphabets),
    )


SOURCES = {
    "glyphs_bg": Source(
        partial(load, alphabets=BACKGROUND),
        Kind.CHARACTERS,
        "12 made-up alphabets, 240 characters by 20 writers; embedded",
        subsets=tuple(style.name for style in BACKGROUND),
        target="glyphs_eval",
    ),
    "glyphs_eval": Source(
        partial(load, alphabets=EVALUATION),
        Kind.CHARACTERS,
        "3 other made-up alphabets, 60 characters by 20 writers; embedded",
        subsets=tuple(style.name for style in EVALUATION),
    ),
}
