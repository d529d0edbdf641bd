"""SVHN (Netzer et al., 2011): digits of house numbers in colour photographs."""

import string
from functools import partial
from pathlib import Path

import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import check_labels, damaged_data, resized


def files(root: Path, part: str) -> list[Path]:
    return [root / f"{part}_32x32.mat"]


def load(request: Request, part: str) -> Raw:
    """Read one part. Raises InputError unless its file has the published checksum."""
    from torchvision.datasets import SVHN

    path = files(request.root, part)[0]
    try:
        content = SVHN(str(request.root), split=part, download=False)
        images, labels = torch.tensor(content.data), torch.from_numpy(content.labels)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise damaged_data(path, "its checksum or content is wrong") from error
    check_labels(labels, images, 10, path)
    return Raw(resized(images, request.size, request.channels), labels, tuple(string.digits))


def fetch(root: Path, part: str) -> None:
    from torchvision.datasets import SVHN

    SVHN(str(root), split=part, download=True)


SOURCES = {
    f"svhn_{part}": Source(
        partial(load, part=part),
        Kind.CHARACTERS,  # digits must not be mirrored, as photos are
        f"{count} digits of house numbers, in colour",
        channels=3,
        files=partial(files, part=part),
        fetch=partial(fetch, part=part),
    )
    for part, count in (("train", "73,257"), ("test", "26,032"))
}
