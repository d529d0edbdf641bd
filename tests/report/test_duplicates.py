"""Items that a set holds twice."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance

from clusterkit.datasets.base import Subset
from clusterkit.datasets.images import read_images
from clusterkit.pairs.clusters import small_values
from clusterkit.report.duplicates import Group, duplicates


def scene(seed: int) -> Image.Image:
    """A picture of coloured patches, unlike that of any other seed."""
    pixels = np.random.default_rng(seed).integers(0, 200, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120, 100), Image.Resampling.BICUBIC)


def test_pictures_saved_again_are_near_duplicates_and_copies_are_equal(tmp_path: Path) -> None:
    for number in range(8):
        scene(number).save(tmp_path / f"{number}.png")
    scene(3).save(tmp_path / "8.png")
    scene(5).resize((60, 50)).save(tmp_path / "9.jpg", quality=60)
    ImageEnhance.Brightness(scene(5)).enhance(1.2).save(tmp_path / "a.jpg")
    files = sorted(tmp_path.iterdir())
    images = read_images(files, 64, 3)
    values = small_values(Subset("all", images, torch.arange(len(files)), None))
    assert duplicates(values, 3) == [Group([5, 9, 10], False), Group([3, 8], True)]


def test_plain_pictures_of_different_brightness_are_no_duplicates() -> None:
    rng = np.random.default_rng(0)
    colours = np.repeat(rng.random((30, 3, 1)), 256, 2)
    values = (colours + 0.003 * rng.normal(size=(30, 3, 256))).reshape(30, -1).astype(np.float32)
    assert duplicates(values, 3) == []


def test_vectors_are_duplicates_only_if_they_are_equal() -> None:
    values = np.array([[1, 2, 3], [2, 4, 6], [1, 2, 3], [1, 2, 3.001]], np.float32)
    assert duplicates(values, None) == [Group([0, 2], True)]
    assert duplicates(values[1:2], None) == []


def test_a_set_of_one_picture_many_times_is_one_group() -> None:
    values = np.tile(np.random.default_rng(0).random((1, 256)).astype(np.float32), (3000, 1))
    assert duplicates(values, 1) == [Group(list(range(3000)), True)]
