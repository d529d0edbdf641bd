"""Small pictures of items."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.datasets.base import Subset
from clusterkit.datasets.images import Stream
from clusterkit.report.thumbnails import Thumbnail, thumbnails


def decoded(thumbnail: Thumbnail | None) -> Image.Image:
    assert thumbnail is not None
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2])))


def of_files(*files: Path) -> Subset:
    count = len(files)
    images = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    return Subset("all", images, torch.arange(count), None, tuple(file.name for file in files), files)


def test_pictures_are_turned_as_their_files_say(tmp_path: Path) -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, :200] = (250, 0, 0)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=turned, quality=95)
    small = thumbnails(of_files(tmp_path / "a.jpg"), [0], inverted=False)[0]
    image = decoded(small)
    assert image.size == (48, 96)
    assert image.getpixel((24, 10))[0] > 200 > 50 > image.getpixel((24, 86))[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_every_mode_has_a_thumbnail(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.tif" if mode in ("CMYK", "I;16", "I") else "a.png")
    Image.new(mode, (300, 200)).save(file)
    assert decoded(thumbnails(of_files(file), [0], inverted=False)[0]).size == (96, 64)


def test_a_file_that_is_gone_or_broken_has_none(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:600])
    found = thumbnails(of_files(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"), [2, 0, 1], inverted=False)
    assert [found[i] is None for i in range(3)] == [False, True, True]
    stream = Stream((tmp_path / "c.png",), 8, 3)
    assert thumbnails(Subset("all", stream, torch.arange(1), None), [0], inverted=False) == {0: None}


def test_pixels_are_shown_as_they_were_before_they_were_inverted() -> None:
    images = torch.randint(0, 256, (600, 1, 10, 10), generator=torch.Generator().manual_seed(0)).byte()
    subset = Subset("all", images, torch.arange(600), None)
    positions = list(range(599, -1, -1))
    for inverted in (False, True):
        found = thumbnails(subset, positions, inverted=inverted)
        for position in (0, 255, 256, 599):
            pixels = images[position, 0].numpy()
            assert (np.asarray(decoded(found[position])) == (255 - pixels if inverted else pixels)).all()
    small = found[0]
    assert small is not None
    assert (small.width, small.height, small.is_enlarged) == (50, 50, True)


def test_a_thumbnail_of_noise_is_small_enough_that_a_thousand_fit_into_a_page() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 96, 96), (1, 96, 96), (1, 64, 64), (3, 64, 64)):
        images = torch.randint(0, 256, (1, *shape), generator=generator).byte()
        found = thumbnails(Subset("all", images, torch.arange(1), None), [0], inverted=False)[0]
        assert found is not None
        assert len(found.uri) < 16_000
