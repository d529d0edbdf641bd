import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.artifacts.header import Header
from clusterkit.datasets.base import Request
from clusterkit.datasets.catalogue import polarity_like
from clusterkit.datasets.look import SAMPLE, look, polarity
from clusterkit.networks.start import Start
from clusterkit.python.inputs import read_items


@pytest.fixture(autouse=True)
def messages(caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    return caplog


def grey_files(place, form, count=6, **options):
    """Write the same random grey images in another mode and format."""
    random = np.random.default_rng(0)
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        mode, _, suffix = form.partition(".")
        coarse = Image.fromarray(random.integers(0, 256, (4, 4), dtype=np.uint8)).resize((16, 16))
        paths.append(place / f"{number}.{suffix}")
        image = coarse.convert("P") if mode == "P" else coarse.convert("RGB").convert(mode)
        image.save(paths[-1], **options)
    return paths


@pytest.mark.parametrize(
    "form", ["L.png", "RGB.png", "P.png", "P.gif", "RGBA.png", "1.tif", "L.jpg", "RGB.bmp", "LA.webp"]
)
def test_grey_pixels_are_grey_in_every_mode(tmp_path, form):
    seen = look(grey_files(tmp_path, form), 16)
    assert (seen.grey, seen.mixed, seen.sizes, seen.count, seen.stretched) == (True, False, 1, 6, ())


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
@pytest.mark.parametrize("quality", [5, 40, 95])
def test_the_faint_colours_of_lossy_formats_are_grey(tmp_path, suffix, quality):
    assert look(grey_files(tmp_path, f"RGB.{suffix}", quality=quality), 16).grey


@pytest.mark.parametrize("pixel", [(200, 180, 190), (0, 40, 0)])
def test_one_pixel_of_colour_is_colour(tmp_path, pixel):
    paths = grey_files(tmp_path, "RGB.png", 40)
    image = Image.open(paths[35])
    image.putpixel((3, 3), pixel)
    image.save(paths[35])
    seen = look(paths, 16)
    assert (seen.grey, seen.mixed) == (False, True)


def test_photos_are_colour_and_not_mixed(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(40)]
    for path in paths:
        Image.new("RGB", (20, 16), "lightyellow").save(path)
    seen = look(paths, 16)
    assert (seen.grey, seen.mixed) == (False, False)
    paths += grey_files(tmp_path / "grey", "L.png")
    assert look(paths, 16).mixed
    assert look(paths, 16).sizes == 2


def test_a_large_set_is_sampled_evenly(tmp_path, monkeypatch):
    assert SAMPLE == 1000
    monkeypatch.setattr("clusterkit.datasets.look.SAMPLE", 3)
    seen = look(grey_files(tmp_path, "L.png", 9), 16)
    assert seen.count == 3


def test_files_without_a_range_are_listed(tmp_path):
    paths = [tmp_path / f"{number}.tif" for number in range(4)]
    for path, kind in zip(paths, (np.float32, np.uint8, np.int32, np.uint16), strict=True):
        Image.fromarray(np.arange(64).reshape(8, 8).astype(kind)).save(path)
    assert look(paths, 8).stretched == (paths[0], paths[2])


def test_unreadable_files_do_not_count(tmp_path):
    paths = grey_files(tmp_path, "RGB.png")
    paths[4].write_bytes(paths[4].read_bytes()[:70])
    paths[5].write_bytes(b"")
    seen = look(paths, 16)
    assert (seen.grey, seen.mixed, seen.count) == (True, False, 5)
    assert look(paths[5:], 16).count == 0
    for path in paths[:4]:
        Image.new("RGB", (16, 16), "red").save(path)
    assert not look(paths, 16).mixed


def images(light, dark=0, mixed=0):
    """Return images with light, dark and undecided borders, each of them with an even middle."""
    images = torch.full((light + dark + mixed, 1, 6, 6), 128, dtype=torch.uint8)
    images[:light, :, [0, -1]] = images[:light, :, :, [0, -1]] = 250
    images[light:, :, [0, -1]] = images[light:, :, :, [0, -1]] = 3
    images[light + dark :: 2] = 255
    return images


def decided(images, **request):
    found = polarity(images, len(images), Request(Path(), 6, **request), Path("set"))
    return found.inverted, found.bright_ink


def test_without_a_network_the_borders_decide(messages):
    assert decided(images(3)) == (True, True)
    assert decided(images(0, 3)) == (False, True)
    assert decided(images(12, 8)) == (True, False)
    assert decided(images(8, 12)) == (False, False)
    assert [record.message for record in messages.records] == [
        "set: the image borders are light, so the images are inverted to bright ink on dark"
    ] * 2


@pytest.mark.parametrize(
    ("light", "dark", "unclear", "expected"),
    [
        (20, 0, False, True), (18, 2, False, True), (17, 3, False, False), (17, 3, True, True), (0, 20, True, False),
        (3, 17, True, True), (3, 17, False, False), (19, 0, False, False), (19, 0, True, True), (0, 19, True, True),
        (1, 0, False, False), (0, 1, True, True),
    ],
)  # fmt: skip
def test_for_a_network_clear_borders_decide_and_else_its_own_images(light, dark, unclear, expected, messages):
    inverted, _ = decided(images(light, dark), unclear=unclear)
    assert inverted is expected
    assert len(messages.records) == (inverted or light > dark)
    assert all("as the training images" in record.message for record in messages.records)


def test_a_recorded_polarity_stays(messages):
    assert decided(images(20), inverted=False) == (False, False)
    assert decided(images(0, 20), inverted=True) == (True, False)
    assert decided(images(20), inverted=True, unclear=False) == (True, True)
    assert not messages.records


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (None, (None, None)),
        ({"name": "glyphs_bg@0-3", "channels": 3}, (None, False)),
        ({"name": "mnist_test", "channels": 1}, (None, False)),
        ({"name": "svhn_test", "channels": 1}, (False, None)),
        ({"name": "sets_of_tomorrow", "channels": 1}, (None, None)),
        ({"name": "folder:other", "channels": 1, "inverted": True, "bright_ink": False}, (None, True)),
        ({"name": "folder:other", "channels": 1, "inverted": False, "bright_ink": True}, (None, False)),
        ({"name": "arrays:other", "channels": 1, "inverted": False, "bright_ink": False}, (False, None)),
        ({"name": "folder:other", "channels": 3}, (False, None)),
        ({"name": "folder:other", "channels": 1}, (None, None)),
        ({"name": "folder:new@0-4", "channels": 1, "inverted": True, "bright_ink": True}, (True, None)),
        ({"name": "folder:new", "channels": 3}, (None, None)),
    ],
)
def test_the_polarity_of_a_network_follows_from_the_set_it_was_trained_on(trained, expected):
    assert polarity_like("folder:new", trained) == expected


@pytest.mark.parametrize(
    ("trained", "expected"), [(None, 5), ("mnist_test", 250), ("svhn_test", 250), ("folder:other", 5)]
)
def test_arrays_of_a_program_get_the_polarity_of_the_network(trained, expected):
    fields = {"name": trained, "channels": 1, "inverted": True, "bright_ink": True}
    header = None if trained is None else Header("g", "train-g", {}, 0, "cpu", dataset=fields)
    data = read_items(images(5).numpy(), Start(header=header))
    assert data.union().images[0, 0, 0, 0] == expected
