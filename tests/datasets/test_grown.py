"""Counts of files that are new and gone."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.header import Header
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.grown import changes, check_content, name_digest
from clusterkit.errors import InputError
from clusterkit.reading import Reading


def draw(name: str, shade: int = 9) -> None:
    path = Path("photos", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 20, 90)).save(path)


def read() -> Dataset:
    return load_dataset("folder:photos", Path(), size=8, reading=Reading(flat=True))


@pytest.fixture
def photos() -> Dataset:
    for name in ("a.png", "b.png", "c.png"):
        draw(name)
    return read()


def test_digests_are_those_of_the_names(photos: Dataset) -> None:
    digest = name_digest(photos, photos.subsets[0])
    assert digest is not None
    assert (digest.dtype, len(set(digest.tolist()))) == (np.dtype("<u8"), 3)
    # blake2b of "a.png", 8 bytes, little-endian
    assert digest[0] == int.from_bytes(blake2b(b"a.png", digest_size=8).digest(), "little")


def test_named_sets_and_items_without_names_have_none() -> None:
    for name in ("synthetic:blobs", "digits"):
        data = load_dataset(name, Path())
        assert name_digest(data, data.subsets[0]) is None
        assert changes(data, [None]) == ""


@pytest.mark.parametrize(
    ("new", "gone", "text"),
    [
        (["d.png", "e/f.png"], [], "2 files are new and 0 are gone"),
        ([], ["a.png"], "0 files are new and 1 is gone"),
        (["d.png"], ["a.png", "b.png"], "1 file is new and 2 are gone"),
        (["a.png"], [], "no file is new or gone, but some have changed"),
    ],
)
def test_new_and_gone_files_are_counted(photos: Dataset, new: list[str], gone: list[str], text: str) -> None:
    before = [name_digest(photos, subset) for subset in photos.subsets]
    for name in new:
        draw(name, 200)
    for name in gone:
        Path("photos", name).unlink()
    now = read()
    assert changes(now, before) == text
    header = Header("pairs", "predict-pairs", {}, 0, "cpu", photos.to_header())
    with pytest.raises(InputError, match=text):
        check_content(header, Path("pairs.h5"), now, before)
