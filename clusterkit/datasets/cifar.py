"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from torchvision's binary files or an image tree."""

from functools import partial
from pathlib import Path

import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import class_files, damaged_data, read_images, resized

BINARY = {
    "cifar10": (
        "cifar-10-batches-py",
        (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
    ),
    "cifar100": ("cifar-100-python", ("train", "test", "meta")),
}
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def files(root: Path, name: str, part: str) -> list[Path]:
    """Return the binary files, or the folder NAME/PART with one subfolder per class if only that exists."""
    folder, names = BINARY[name]
    binary = [root / folder / file for file in names]
    tree = root / name / part
    return [tree] if tree.is_dir() and not all(path.exists() for path in binary) else binary


def load(request: Request, name: str, part: str) -> Raw:
    paths = files(request.root, name, part)
    if len(paths) == 1:
        return load_tree(paths[0], request)
    return load_binary(paths[0].parent, request, name, part)


def load_tree(place: Path, request: Request) -> Raw:
    tree = class_files(place)
    if not tree:
        raise damaged_data(place, "no CLASS/IMAGE files")
    paths = [path for members in tree.values() for path in members]
    labels = torch.arange(len(tree)).repeat_interleave(torch.tensor([len(members) for members in tree.values()]))
    names = tuple(path.relative_to(place).as_posix() for path in paths)
    images = read_images(paths, request.size, request.channels or 3)
    return Raw(images, labels, tuple(tree), names=names, files=tuple(paths))


def load_binary(place: Path, request: Request, name: str, part: str) -> Raw:
    """Read the binary files. Raises InputError unless they have the published checksums."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    kind = getattr(datasets, TORCHVISION[name])
    try:
        content = kind(str(request.root), train=part == "train", download=False)
    except RuntimeError as error:
        sums = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
        wrong = [file for file, checksum in sums if not check_integrity(str(place / file), checksum)]
        raise damaged_data(place / wrong[0] if wrong else place, "its checksum is wrong") from error
    images = torch.from_numpy(content.data).permute(0, 3, 1, 2)
    return Raw(resized(images, request.size, request.channels), torch.tensor(content.targets), tuple(content.classes))


def fetch(root: Path, name: str, part: str) -> None:
    from torchvision import datasets

    getattr(datasets, TORCHVISION[name])(str(root), train=part == "train", download=True)


SOURCES = {
    f"{name}_{part}": Source(
        partial(load, name=name, part=part),
        Kind.PHOTOS,
        f"{count} small colour photos, {classes} classes",
        channels=3,
        files=partial(files, name=name, part=part),
        fetch=partial(fetch, name=name, part=part),
    )
    for name, classes in (("cifar10", 10), ("cifar100", 100))
    for part, count in (("train", "50,000"), ("test", "10,000"))
}
