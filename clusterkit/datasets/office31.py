"""Office-31 (Saenko et al., 2010): 31 classes of office objects, photographed in three domains."""

from pathlib import Path

import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.images import class_files, damaged_data, read_images

DOMAINS = ("amazon", "dslr", "webcam")


def files(root: Path) -> list[Path]:
    return [root / "office31" / domain for domain in DOMAINS]


def load(request: Request) -> Raw:
    """Read one domain or all three. The files of the other domains are only counted, for the ids."""
    trees = [class_files(place) for place in files(request.root)]
    classes = sorted({name for tree in trees for name in tree})
    paths: list[Path] = []
    labels: list[int] = []
    subset: list[int] = []
    ids: list[int] = []
    start = 0
    for number, (place, tree) in enumerate(zip(files(request.root), trees, strict=True)):
        if not tree:
            raise damaged_data(place, "no CLASS/IMAGE files")
        members = [(path, classes.index(name)) for name, images in tree.items() for path in images]
        if request.subset in (None, DOMAINS[number]):
            paths += [path for path, _ in members]
            labels += [label for _, label in members]
            subset += [number] * len(members)
            ids += range(start, start + len(members))
        start += len(members)
    return Raw(
        read_images(paths, request.size, request.channels or 3),
        torch.tensor(labels),
        tuple(classes),
        torch.tensor(subset),
        DOMAINS,
        torch.tensor(ids),
        names=tuple(path.relative_to(request.root / "office31").as_posix() for path in paths),
        files=tuple(paths),
    )


SOURCES = {
    "office31": Source(
        load,
        Kind.PHOTOS,
        "4,110 photos of office objects in three domains, 31 classes",
        channels=3,
        size=64,
        files=files,
        layout="CLASS/*",
        subsets=DOMAINS,
    )
}
