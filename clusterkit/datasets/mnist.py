"""MNIST (LeCun et al., 1998), Fashion-MNIST (Xiao et al., 2017) and EMNIST letters (Cohen et al., 2017)."""

import string
from functools import partial
from pathlib import Path

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import check_labels, damaged_data, resized

DIGITS = tuple(string.digits)
LETTERS = tuple(string.ascii_lowercase)
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def files(root: Path, name: str, stem: str) -> list[Path]:
    """Return the image file and the label file, in torchvision's layout."""
    raw = root / name / "raw"
    return [raw / f"{stem}-images-idx3-ubyte", raw / f"{stem}-labels-idx1-ubyte"]


def load(request: Request, name: str, stem: str, classes: tuple[str, ...]) -> Raw:
    """Read one part. EMNIST stores images transposed and counts letters from 1; both are corrected."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    tensors = []
    for path, read in zip(files(request.root, name, stem), (read_image_file, read_label_file), strict=True):
        try:
            tensors.append(read(str(path)))
        except (OSError, ValueError, RuntimeError, AssertionError, TypeError, KeyError) as error:
            raise damaged_data(path, error) from error
    images, labels = tensors
    if name == "EMNIST":
        images, labels = images.transpose(1, 2), labels - 1
    check_labels(labels, images, len(classes), files(request.root, name, stem)[1])
    return Raw(resized(images[:, None], request.size, request.channels), labels, classes)


def fetch(root: Path, name: str, train: bool) -> None:
    from torchvision import datasets

    if name == "EMNIST":
        datasets.EMNIST(str(root), split="letters", train=train, download=True)
    else:
        getattr(datasets, name)(str(root), train=train, download=True)


def source(
    name: str, stem: str, train: bool, classes: tuple[str, ...], about: str, kind: Kind = Kind.CHARACTERS
) -> Source:
    return Source(
        partial(load, name=name, stem=stem, classes=classes),
        kind,
        about,
        files=partial(files, name=name, stem=stem),
        fetch=partial(fetch, name=name, train=train),
    )


SOURCES = {
    "mnist_train": source("MNIST", "train", True, DIGITS, "60,000 handwritten digits"),
    "mnist_test": source("MNIST", "t10k", False, DIGITS, "10,000 handwritten digits"),
    "fashion_mnist_train": source(
        "FashionMNIST", "train", True, CLOTHES, "60,000 pictures of clothes, 10 classes", Kind.PHOTOS
    ),
    "fashion_mnist_test": source(
        "FashionMNIST", "t10k", False, CLOTHES, "10,000 pictures of clothes, 10 classes", Kind.PHOTOS
    ),
    "emnist_letters_train": source(
        "EMNIST", "emnist-letters-train", True, LETTERS, "124,800 handwritten letters, 26 classes"
    ),
    "emnist_letters_test": source(
        "EMNIST", "emnist-letters-test", False, LETTERS, "20,800 handwritten letters, 26 classes"
    ),
}
