"""ImageNet (Russakovsky et al., 2015), its 1,000 classes split into 882 to learn from and 118 to discover.

Hsu et al. (2016), appendix A, list the 118 classes and the ten of ImageNet-10R2. All sets use the training images.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from clusterkit import console
from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source, chosen
from clusterkit.datasets.images import class_files, image_files, read_or_stream
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError

HELD_OUT = (
    "n01443537", "n01484850", "n01514859", "n01530575", "n01558993", "n01560419", "n01614925", "n01694178", "n01728572",
    "n01737021", "n01751748", "n01843065", "n01943899", "n01978455", "n01980166", "n01983481", "n01984695", "n02009912",
    "n02058221", "n02086646", "n02087394", "n02089973", "n02091032", "n02092002", "n02093428", "n02093859", "n02095889",
    "n02096585", "n02098286", "n02099429", "n02102040", "n02105162", "n02106382", "n02107142", "n02108089", "n02108551",
    "n02108915", "n02112018", "n02113186", "n02113978", "n02127052", "n02128925", "n02129165", "n02165456", "n02231487",
    "n02396427", "n02412080", "n02423022", "n02483362", "n02486410", "n02487347", "n02492660", "n02493509", "n02669723",
    "n02730930", "n02793495", "n02795169", "n02804414", "n02807133", "n02870880", "n02916936", "n02951585", "n03100240",
    "n03124170", "n03131574", "n03187595", "n03188531", "n03216828", "n03255030", "n03272562", "n03379051", "n03400231",
    "n03447447", "n03457902", "n03496892", "n03534580", "n03594945", "n03658185", "n03662601", "n03666591", "n03691459",
    "n03697007", "n03782006", "n03786901", "n03794056", "n03857828", "n03874599", "n03944341", "n03991062", "n04026417",
    "n04033995", "n04065272", "n04069434", "n04070727", "n04131690", "n04162706", "n04201297", "n04311174", "n04325704",
    "n04344873", "n04371430", "n04372370", "n04380533", "n04487081", "n04501370", "n04505470", "n04522168", "n04540053",
    "n04579432", "n07579787", "n07717410", "n07734744", "n07760859", "n07802026", "n07873807", "n13037406", "n13044778",
    "n13052670",
)  # fmt: skip

TEN = (
    "n01514859", "n01558993", "n02009912", "n02669723", "n03991062", "n04069434", "n04487081", "n04505470", "n07717410",
    "n13044778",
)  # fmt: skip

OTHERS = 882
SUBSETS = ("1", "2", "3")


def drawn(subset: str) -> list[str]:
    """Return the 30 of the 118 classes in a subset, sorted.

    The paper averages over three random subsets (Hsu et al., 2018, table 8) without listing their classes. Here they
    are the 30 classes with the smallest sha256 of "SUBSET CLASS". Subsets may share classes.
    """
    order = sorted(HELD_OUT, key=lambda name: hashlib.sha256(f"{subset} {name}".encode()).digest())
    return sorted(order[:30])


def classes_of(subset: str | None) -> list[str]:
    """Return the sorted classes of one subset, or of all three for None."""
    return sorted({name for title in SUBSETS for name in drawn(title)}) if subset is None else drawn(subset)


def folder(root: Path) -> Path:
    return root / "imagenet" / "train"


def files(root: Path) -> list[Path]:
    return [folder(root)]


def listed(place: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """Return the image files of the named classes. Raises InputError if a class has no files."""
    files_of = {name: image_files(place / name) for name in names}
    missing = [name for name in names if not files_of[name]]
    if missing:
        raise InputError(
            f"{place / missing[0]}: no images of this class ({len(missing)} of the {len(names)} classes have none); "
            f"expected {place}/CLASS/*.JPEG; put them there or name another folder with --data"
        )
    return files_of


def load_others(request: Request) -> Raw:
    """Read all classes in the folder except the 118; a complete folder has 882 of them."""
    place = folder(request.root)
    files_of = class_files(place, without=HELD_OUT)
    if len(files_of) < 2:
        raise InputError(
            f"{place}: only {len(files_of)} classes with images besides the {len(HELD_OUT)} held out, two are needed; "
            f"expected {place}/CLASS/*.JPEG; put them there or name another folder with --data"
        )
    if len(files_of) != OTHERS:
        console.once(f"{place}: {len(files_of)} classes besides the {len(HELD_OUT)} held out, not {OTHERS}")
    return read(request, files_of)


def load_all(request: Request) -> Raw:
    """Read the 118 classes."""
    return read(request, listed(folder(request.root), HELD_OUT))


def load_ten(request: Request) -> Raw:
    """Read the ten of the 118 classes that make ImageNet-10R2."""
    return read(request, listed(folder(request.root), TEN))


def load_subsets(request: Request) -> Raw:
    """Read the three subsets of 30 classes one after another; an image in two subsets occurs twice, with two ids."""
    selections = [drawn(subset) for subset in SUBSETS]
    raw = read(request, listed(folder(request.root), classes_of(None)))
    assert raw.labels is not None
    parts = []
    for names in selections:
        numbers = torch.tensor([raw.classes.index(name) for name in names])
        parts.append(torch.isin(raw.labels, numbers).nonzero()[:, 0])
    positions = torch.cat(parts)
    return Raw(
        raw.images.take(positions) if isinstance(raw.images, Stream) else raw.images[positions],
        raw.labels[positions],
        raw.classes,
        torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts])),
        SUBSETS,
        names=chosen(raw.names, positions),
        files=chosen(raw.files, positions),
    )


def read(request: Request, files_of: dict[str, list[Path]]) -> Raw:
    """Read image files by class, in the order of the class names."""
    paths = [path for name in sorted(files_of) for path in files_of[name]]
    counts = torch.tensor([len(files_of[name]) for name in sorted(files_of)])
    place = folder(request.root)
    return Raw(
        read_or_stream(paths, request.size, request.channels or 3),
        torch.arange(len(counts)).repeat_interleave(counts),
        tuple(sorted(files_of)),
        names=tuple(path.relative_to(place).as_posix() for path in paths),
        files=tuple(paths),
    )


SOURCES = {
    "imagenet882": Source(
        load_others,
        Kind.PHOTOS,
        "about 1.1 million photos of ImageNet's classes other than the 118",
        size=224,
        channels=3,
        files=files,
        layout="CLASS/*.JPEG",
        target="imagenet118",
    ),
    "imagenet118": Source(
        load_all,
        Kind.PHOTOS,
        "about 150,000 photos of 118 classes of ImageNet",
        size=224,
        channels=3,
        files=files,
        layout="CLASS/*.JPEG",
        classes=lambda subset: HELD_OUT,
    ),
    "imagenet118_30": Source(
        load_subsets,
        Kind.PHOTOS,
        "three subsets of 30 of the 118 classes, about 39,000 photos each",
        size=224,
        channels=3,
        files=files,
        layout="CLASS/*.JPEG",
        subsets=SUBSETS,
        classes=classes_of,
    ),
    "imagenet10r2": Source(
        load_ten,
        Kind.PHOTOS,
        "13,000 photos of ten of the 118 classes",
        size=224,
        channels=3,
        files=files,
        layout="CLASS/*.JPEG",
        classes=lambda subset: TEN,
    ),
}
