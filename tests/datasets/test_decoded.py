import json
import logging
import shutil
from collections import namedtuple
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.datasets import decoded
from clusterkit.datasets.decoded import Decoded
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError

Usage = namedtuple("Usage", "total used free")
BLOCKS = torch.arange(12).split(5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "MARGIN", 0)
    return tmp_path / "cache" / "clusterkit" / "decoded"


@pytest.fixture
def paths(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    found = tuple(tmp_path / "set" / f"{number:02d}.jpg" for number in range(12))
    for path in found:
        Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)
    return found


def stream(paths, **form):
    """A stream as a new process has it, with its images kept."""
    return Stream(paths, 8, 3, kept=Decoded(paths, 8, 3), **form)


def images(stream, blocks=BLOCKS):
    return torch.cat(list(stream.batches(blocks)))


def no_decoding(monkeypatch):
    def fail(path, size, channels):
        raise InputError(f"{path} is decoded")

    monkeypatch.setattr("clusterkit.datasets.stream.decode", fail)


@pytest.mark.parametrize("invert", [False, True])
def test_images_are_the_same_with_and_without(paths, invert, monkeypatch, cache, caplog):
    plain = images(Stream(paths, 8, 3, invert))
    assert torch.equal(images(stream(paths, invert=invert)), plain)
    no_decoding(monkeypatch)
    assert torch.equal(images(stream(paths, invert=invert)), plain)
    (raw,) = cache.glob("*.raw")
    assert raw.stat().st_size == 12 * (4 + 192)
    assert raw.read_bytes()[48:] == (~plain if invert else plain).permute(0, 2, 3, 1).numpy().tobytes()
    assert json.loads(raw.with_suffix(".json").read_text()) == {
        "folder": str(paths[0].parent), "images": 12, "size": 8, "channels": 3
    }  # fmt: skip
    assert len(list(cache.iterdir())) == 2
    (record,) = caplog.records
    assert f"keeping decoded images in {raw}, up to 2.35 kB" in record.message


def test_parts_and_their_union_share_what_is_kept(paths, monkeypatch):
    whole = stream(paths)
    plain = images(whole)[[3, 3, 9, 0, 11]]
    no_decoding(monkeypatch)
    first, second = whole.take(torch.tensor([3, 3, 9])), whole.take(torch.tensor([11, 0])).take(torch.tensor([1, 0]))
    assert torch.equal(images(first, torch.arange(3).split(2)), plain[:3])
    assert torch.equal(images(Stream.joined([first, second]), torch.arange(5).split(2)), plain)


def test_a_part_fills_only_its_own_rows(paths, monkeypatch):
    chosen = torch.arange(4, 8)
    plain = images(stream(paths).take(chosen), torch.arange(4).split(2))
    kept = Decoded(paths, 8, 3)
    assert [row for row in range(12) if kept.get(row) is not None] == chosen.tolist()
    no_decoding(monkeypatch)
    assert torch.equal(images(stream(paths).take(chosen), torch.arange(4).split(2)), plain)


def test_a_few_images_are_not_kept(paths, cache):
    images(stream(paths), [torch.arange(12)])
    assert not cache.exists()


@pytest.mark.parametrize("change", ["time", "size", "name", "form", "pillow", "heif", "decoder"])
def test_other_files_or_another_form_are_kept_apart(paths, change, monkeypatch, cache):
    images(stream(paths))
    if change == "pillow":
        monkeypatch.setattr("PIL.__version__", "0")
    elif change == "heif":
        monkeypatch.setattr(decoded, "version", lambda name: "0")
    elif change == "decoder":
        monkeypatch.setattr(decoded, "FORM", decoded.FORM + 1)
    elif change == "name":
        paths = (*paths[:-1], paths[-1].rename(paths[-1].with_name("other.jpg")))
    elif change != "form":
        other = Image.new("RGB", (12, 10), "red")
        before = paths[3].stat()
        other.save(paths[3])
        assert before.st_size != paths[3].stat().st_size
        if change == "time":
            paths[3].touch()
    size = 6 if change == "form" else 8
    found = images(Stream(paths, size, 3, kept=Decoded(paths, size, 3)))
    assert torch.equal(found, images(Stream(paths, size, 3)))
    assert len(list(cache.glob("*.raw"))) == 2


def flip(raw):
    content = bytearray(raw.read_bytes())
    content[48 + 192 * 5 + 7] ^= 1
    raw.write_bytes(content)


DAMAGE = {
    "flipped": flip,
    "cut": lambda raw: raw.write_bytes(raw.read_bytes()[:1000]),
    "empty": lambda raw: raw.write_bytes(b""),
    "zeros": lambda raw: raw.write_bytes(bytes(12 * 196)),
    "noise": lambda raw: raw.write_bytes(bytes(range(1, 197)) * 12),
    "longer": lambda raw: raw.write_bytes(raw.read_bytes() + b"more"),
    "gone": lambda raw: raw.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_whole_again(paths, damage, monkeypatch, cache):
    plain = images(stream(paths))
    (raw,) = cache.glob("*.raw")
    whole = raw.read_bytes()
    DAMAGE[damage](raw)
    assert torch.equal(images(stream(paths)), plain)
    assert raw.read_bytes() == whole
    no_decoding(monkeypatch)
    assert torch.equal(images(stream(paths)), plain)


def test_a_file_damaged_while_it_is_used_is_no_error(paths, cache):
    found = stream(paths)
    plain = images(found)
    (raw,) = cache.glob("*.raw")
    raw.write_bytes(raw.read_bytes()[:500])
    assert torch.equal(images(found), plain)
    raw.unlink()
    assert torch.equal(images(found), plain)


def test_an_image_half_written_is_not_believed(paths):
    kept = Decoded(paths, 8, 3)
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    kept.put(4, image)
    assert np.array_equal(kept.get(4), image)
    assert kept.get(5) is None
    with kept.file.open("rb+") as file:
        file.seek(48 + 192 * 4)
        file.write(bytes(100))
    assert kept.get(4) is None


def test_what_was_kept_before_an_interruption_is_used_after_it(paths, monkeypatch):
    first = stream(paths).batches(BLOCKS)
    plain = [next(first)]
    first.close()
    plain = torch.cat([*plain, *Stream(paths, 8, 3).batches(BLOCKS[1:])])
    assert Decoded(paths, 8, 3).get(0) is not None
    assert torch.equal(images(stream(paths)), plain)


def fill(paths):
    images(stream(paths))


def test_processes_that_fill_at_once_make_one_whole_file(paths, monkeypatch, cache):
    plain = images(Stream(paths, 8, 3))
    processes = [get_context("fork").Process(target=fill, args=(paths,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    no_decoding(monkeypatch)
    assert torch.equal(images(stream(paths)), plain)
    assert len(list(cache.iterdir())) == 2


def test_without_room_images_are_decoded_as_before(paths, monkeypatch, cache, caplog):
    free = [12 * 192 + 4]
    monkeypatch.setattr(decoded, "MARGIN", 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(free[0], 0, free[0]))
    plain = images(Stream(paths, 8, 3))
    for _ in range(2):
        assert torch.equal(images(stream(paths)), plain)
    assert {record.message for record in caplog.records[1:]} == {
        f"{cache}: too little free disk space to keep decoded images; every epoch decodes them again"
    }
    kept = Decoded(paths, 8, 3)
    assert all(kept.get(row) is None for row in range(12))
    free[0] += 1
    assert torch.equal(images(stream(paths)), plain)
    assert all(kept.get(row) is not None for row in range(12))
    free[0] = 0
    no_decoding(monkeypatch)
    assert torch.equal(images(stream(paths)), plain)


def test_a_full_disk_on_the_way_costs_nothing_but_time(paths, monkeypatch):
    kept = Decoded(paths, 8, 3)
    monkeypatch.setattr(decoded, "MARGIN", 2**62)
    assert kept.file is not None
    kept.put(0, np.ones((8, 8, 3), dtype=np.uint8))
    assert kept.get(0) is None


def test_a_folder_that_cannot_be_written_is_said_once(paths, cache, caplog):
    cache.parent.mkdir(parents=True)
    cache.touch()
    found = stream(paths)
    for _ in range(2):
        assert torch.equal(images(found), images(Stream(paths, 8, 3)))
    (record,) = caplog.records
    assert record.message.startswith(f"{cache}: cannot keep decoded images there (")
    assert "\n" not in record.message


@pytest.mark.parametrize("breakage", ["cut", "gone"])
def test_an_unreadable_file_is_named_in_one_line(paths, breakage):
    images(stream(paths))
    if breakage == "cut":
        paths[7].write_bytes(paths[7].read_bytes()[:300])
    else:
        paths[7].unlink()
    for _ in range(2):
        with pytest.raises(InputError, match=r"^[^\n]*07\.jpg: not a readable image[^\n]*$"):
            images(stream(paths))
