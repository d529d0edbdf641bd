import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.config import Kind
from clusterkit.datasets import images
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError


@pytest.fixture
def place(tmp_path):
    """Two classes of dark ink on light paper, three grey images each."""
    for number in range(6):
        path = tmp_path / "set" / ("ox", "ape")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((16, 16), 240, dtype=np.uint8)
        pixels[4:12, 4:12] = 10 * number
        Image.fromarray(pixels).save(path)
    return Path("set")


def read(place, **form):
    return load_dataset(f"folder:{place}", place, **form)


def test_classes_are_folders_and_dark_ink_is_turned_bright(place, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    found = read(place, size=16)
    assert found.classes == ("ape", "ox")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.union().names == ("ape/1.png", "ape/3.png", "ape/5.png", "ox/0.png", "ox/2.png", "ox/4.png")
    assert found.kind is Kind.CHARACTERS
    assert found.union().images[:, 0, 8, 8].tolist() == [245, 225, 205, 255, 235, 215]
    assert [record.message for record in caplog.records] == [
        f"{place}: the image borders are light, so the images are inverted to bright ink on dark"
    ]
    assert read(place).shape == (1, 64, 64)
    assert read(place, channels=3, size=8).shape == (3, 8, 8)


def test_a_flat_folder_has_no_labels(place, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    found = read(place / "ox", size=16)
    assert found.labels is None
    assert found.classes == ()
    assert found.union().ids.tolist() == [0, 1, 2]


def test_bright_ink_and_colour_are_left_alone(place, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    for path in place.glob("*/*.png"):
        pixels = np.asarray(Image.open(path))
        Image.fromarray(255 - pixels).save(path)
    assert read(place, size=16).union().images[0, 0, 0, 0] == 15
    for path in place.glob("*/*.png"):
        Image.new("RGB", (16, 16), "lightyellow").save(path)
    found = read(place, size=16)
    assert found.shape == (3, 16, 16)
    assert found.kind is Kind.PHOTOS
    assert found.union().images.min() == 224
    assert not caplog.records


def test_mixed_sizes_and_modes_are_converted_and_said_once(place, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    Image.new("P", (40, 20)).save(place / "ox" / "a.gif")
    Image.new("RGB", (7, 9), "red").save(place / "ox" / "b.jpg")
    Image.new("1", (16, 16)).save(place / "ox" / "c.bmp")
    assert read(place, size=16).shape == (3, 16, 16)
    (record,) = caplog.records
    assert "3 sizes, some are grey and some in colour; all are read as colour, 16 x 16" in record.message


def test_a_large_folder_is_streamed_as_the_same_images(place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    held = read(place, size=16)
    monkeypatch.setattr(images, "MEMORY", 6 * 16 * 16 - 1)
    streamed = read(place, size=16)
    assert isinstance(streamed.union().images, Stream)
    assert torch.equal(torch.cat(list(streamed.union().blocks())), held.union().images)
    assert streamed.union().ids.tolist() == held.union().ids.tolist()
    assert read(f"{place}@1", size=16).union().ids.tolist() == [3, 4, 5]

    assert read(place, size=16).fingerprint == streamed.fingerprint
    (place / "ox" / "0.png").rename(place / "ape" / "0.png")
    assert read(place, size=16).fingerprint != streamed.fingerprint


def test_images_beside_the_classes_are_left_out_and_said(place, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    Image.new("L", (16, 16)).save(place / "thumbnail.png")
    (place / "empty").mkdir()
    assert len(read(place)) == 6
    assert "left out: 1 outside the class folders" in caplog.text


def refused(place):
    with pytest.raises(InputError) as caught:
        read(place)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_missing_an_empty_and_a_one_class_folder(place, tmp_path):
    assert "No such file" in refused(tmp_path / "nowhere")
    assert "is a file, but folder: reads a folder" in refused(place / "ox" / "0.png")
    (tmp_path / "empty" / "class").mkdir(parents=True)
    assert "no images in this folder" in refused(tmp_path / "empty")
    (place / "ape").rename(place / ".ape")
    assert "one class only ('ox')" in refused(place)


def test_unreadable_images_are_named(place):
    (place / "ox" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    assert str(place / "ox" / "broken.png") in refused(place)
    (place / "ape" / "none.png").touch()
    (place / "ox" / "none.png").touch()
    message = refused(place)
    for path in (place / "ape" / "none.png", place / "ox" / "none.png"):
        assert f"{path}: an empty file" in message
    (place / "ape" / "none.png").unlink()
    (place / "ape" / "none.png").symlink_to("nowhere")
    assert f"{place / 'ape' / 'none.png'}: cannot be read" in refused(place)


def test_a_truncated_image_is_named(place):
    path = place / "ox" / "2.png"
    path.write_bytes(path.read_bytes()[:60])
    assert str(path) in refused(place)


def test_a_real_alphabet_is_turned_bright(real_data):
    found = read(real_data / "omniglot-py" / "images_evaluation" / "Angelic", size=32)
    assert (len(found), len(found.classes), found.shape) == (400, 20, (1, 32, 32))
    assert found.union().images.float().mean() < 64
