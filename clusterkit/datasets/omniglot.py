"""Omniglot (Lake et al., 2015): 50 alphabets of handwritten characters, 20 drawings of each."""

from functools import partial
from pathlib import Path

import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import read_images
from clusterkit.errors import InputError

EVALUATION_ALPHABETS = (
    "Angelic", "Atemayar_Qelisayer", "Atlantean", "Aurek-Besh", "Avesta", "Ge_ez", "Glagolitic", "Gurmukhi",
    "Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya",
    "Sylheti", "Syriac_(Serto)", "Tengwar", "Tibetan", "ULOG",
)  # fmt: skip

FOLDERS = {"bg": "images_background", "eval": "images_evaluation"}


def folder(root: Path, part: str) -> Path:
    """Return the folder of one part, in torchvision's layout."""
    return root / "omniglot-py" / FOLDERS[part]


def files(root: Path, part: str) -> list[Path]:
    return [folder(root, part)]


def load(request: Request, part: str) -> Raw:
    """Read one part in bright ink on dark; classes are named ALPHABET/CHARACTER, each alphabet is a subset."""
    place = folder(request.root, part)
    alphabets = sorted(path for path in place.iterdir() if path.is_dir())
    classes: list[str] = []
    paths: list[Path] = []
    labels: list[int] = []
    subset: list[int] = []
    for number, alphabet in enumerate(alphabets):
        for character in sorted(path for path in alphabet.iterdir() if path.is_dir()):
            drawings = sorted(character.glob("*.png"))
            paths += drawings
            labels += [len(classes)] * len(drawings)
            subset += [number] * len(drawings)
            classes.append(f"{alphabet.name}/{character.name}")
    if not paths:
        raise InputError(f"{place}: no alphabets here; expected {place}/ALPHABET/CHARACTER/*.png")
    return Raw(
        255 - read_images(paths, request.size, request.channels or 1),
        torch.tensor(labels),
        tuple(classes),
        torch.tensor(subset),
        tuple(alphabet.name for alphabet in alphabets),
        names=tuple(path.relative_to(place).as_posix() for path in paths),
        files=tuple(paths),
    )


def fetch(root: Path, part: str) -> None:
    from torchvision.datasets import Omniglot

    Omniglot(str(root), background=part == "bg", download=True)


SOURCES = {
    "omniglot_bg": Source(
        partial(load, part="bg"),
        Kind.CHARACTERS,
        "30 alphabets, 964 handwritten characters by 20 people",
        files=partial(files, part="bg"),
        fetch=partial(fetch, part="bg"),
        target="omniglot_eval",
    ),
    "omniglot_eval": Source(
        partial(load, part="eval"),
        Kind.CHARACTERS,
        "20 other alphabets, 659 characters by 20 people",
        files=partial(files, part="eval"),
        fetch=partial(fetch, part="eval"),
        subsets=EVALUATION_ALPHABETS,
    ),
}
