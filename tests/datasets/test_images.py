import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.datasets.images import image_files, read_images, resized
from clusterkit.datasets.look import is_light
from clusterkit.datasets.stream import Stream, read_image
from clusterkit.errors import InputError


def test_fit_scales_crops_and_repeats_like_pillow(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    for channels in (1, 3):
        ours = resized(images, 32, channels)[0].int()
        assert (ours - read_image(tmp_path / "a.png", 32, channels).int()).abs().max() <= 1


def test_fit_in_blocks_equals_one_at_a_time():
    images = torch.randint(256, (1003, 1, 5, 5), dtype=torch.uint8)
    fitted = resized(images, 8, 3)
    assert fitted.shape == (1003, 3, 8, 8)
    assert torch.equal(fitted[1001:1002], resized(images[1001:1002], 8, 3))
    assert torch.equal(fitted[:, 0], fitted[:, 2])


def test_fit_leaves_fitting_images_alone():
    images = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(resized(images, 8, None), images)


def test_grey_is_the_luma():
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert resized(red, 1, 1).item() == 76


def test_is_light_looks_at_the_border_only():
    images = torch.full((2, 1, 8, 8), 255, dtype=torch.uint8)
    images[:, :, 1:-1, 1:-1] = 0
    assert is_light(images)
    assert not is_light(255 - images)


def test_sixteen_bits_keep_their_shades_and_transparent_parts_are_white(tmp_path):
    ramp = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4096
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", 4, 1).flatten().tolist() == [i * 16 for i in range(16)]
    clear = np.zeros((2, 2, 4), dtype=np.uint8)
    clear[0, 0, 3] = 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", 2, 1).flatten().tolist() == [0, 255, 255, 255]


def test_files_are_found_sorted_and_hidden_ones_left_out(tmp_path):
    for name in ["b.png", "a.JPG", ".hidden.png", "notes.txt", "sub/c.webp", ".cache/d.png"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.name for path in image_files(tmp_path)] == ["a.JPG", "b.png", "c.webp"]


def images_of(tmp_path, count):
    paths = [tmp_path / f"{number:03d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("L", (4, 4), number).save(path)
    return paths


def test_many_files_are_read_in_order_from_memory_and_from_a_stream(tmp_path):
    paths = images_of(tmp_path, 150)
    images = read_images(paths, 4, 1)
    assert images[:, 0, 0, 0].tolist() == list(range(150))
    stream = Stream(tuple(paths), 4, 1, invert=True).take(torch.arange(149, 99, -1))
    batches = list(stream.batches(torch.arange(50).split(20)))
    assert torch.equal(torch.cat(batches), 255 - images[100:].flip(0))


@pytest.mark.parametrize("blocks", [1, 2])
def test_an_unreadable_file_of_a_stream_is_named_in_one_line(tmp_path, blocks):
    paths = images_of(tmp_path, 4)
    paths[3].write_bytes(paths[3].read_bytes()[:40])
    with pytest.raises(InputError, match=r"^[^\n]*003\.png: not a readable image[^\n]*$"):
        list(Stream(tuple(paths), 4, 1).batches(torch.arange(4).chunk(blocks)))
    with pytest.raises(InputError, match=r"003\.png: not a readable image"):
        read_images(paths, 4, 1)
