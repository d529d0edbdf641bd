"""USPS (Hull, 1994): handwritten digits of American postcodes."""

import string
from functools import partial
from pathlib import Path

import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import check_labels, damaged_data, resized


def files(root: Path, train: bool) -> list[Path]:
    return [root / ("usps.bz2" if train else "usps.t.bz2")]


def load(request: Request, train: bool) -> Raw:
    from torchvision.datasets import USPS

    path = files(request.root, train)[0]
    try:
        content = USPS(str(request.root), train=train, download=False)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise damaged_data(path, error) from error
    images, labels = torch.from_numpy(content.data)[:, None], torch.tensor(content.targets, dtype=torch.int64)
    check_labels(labels, images, 10, path)
    return Raw(resized(images, request.size, request.channels), labels, tuple(string.digits))


def fetch(root: Path, train: bool) -> None:
    from torchvision.datasets import USPS

    USPS(str(root), train=train, download=True)


SOURCES = {
    f"usps_{part}": Source(
        partial(load, train=train),
        Kind.CHARACTERS,
        f"{count} handwritten digits of postcodes",
        files=partial(files, train=train),
        fetch=partial(fetch, train=train),
    )
    for part, train, count in (("train", True, "7,291"), ("test", False, "2,007"))
}
