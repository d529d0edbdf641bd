"""The decoder against a reference written with Pillow alone, on every mode and format that Pillow writes."""

import random
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from clusterkit.datasets.decode import LARGEST_JPEG, TURNS, _alone_if_large, decode, quiet
from clusterkit.datasets.decode import picture as whole
from clusterkit.datasets.images import read_images
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError

pillow_heif.register_heif_opener()

MODES = (
    "1", "L", "LA", "P", "P clear", "P alpha", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F",
    "L clear", "RGB clear", "La", "RGBa", "RGBX",
)  # fmt: skip
FORMATS = {
    "png": {}, "jpg": {"quality": 90}, "gif": {}, "tif": {}, "webp": {"quality": 90}, "bmp": {}, "ppm": {}, "pgm": {},
    "ico": {"sizes": [(48, 40)]}, "tga": {}, "pcx": {}, "jp2": {}, "avif": {"quality": 90}, "heic": {"quality": 90},
}  # fmt: skip


WRITTEN = {
    "png": MODES[:5] + MODES[16:18] + ("P alpha", "RGB", "RGBA", "I;16"),
    "jpg": ("L", "RGB", "CMYK", "YCbCr"),
    "gif": ("1", "L", "LA", "P", "P clear", "RGB", "RGBA"),
    "tif": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"),
    "webp": ("L", "LA", "P", "P clear", "P alpha", "RGB", "RGBA", "CMYK"),
    "pgm": ("1", "L", "I", "I;16", "F"),
    "avif": ("L", "LA", "RGB", "RGBA"),
    "heic": ("L", "LA", "RGB", "RGBA"),
}
"""The modes of each format that must be among those tried; "L" and "RGB" for the others."""


def scene(width=48, height=40):
    """Return a smooth colour picture (H, W, 3) without any symmetry."""
    y, x = np.mgrid[:height, :width] / (height, width)[0]
    parts = (60 + 150 * x, 230 - 170 * y, 40 + 120 * x * y + 60 * np.sin(3 * x))
    return np.stack(parts, axis=2).clip(0, 255).astype(np.uint8)


def picture(mode):
    """Return the scene in a mode of Pillow; the mode is followed by the kind of its transparency."""
    name, _, clear = mode.partition(" ")
    base = Image.fromarray(scene())
    if name == "I":
        return Image.fromarray(np.asarray(base.convert("L")).astype(np.int32) * 257)
    if name == "I;16":
        return Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257)
    if name == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(base, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    if name in ("LA", "RGBA", "La", "RGBa", "PA"):
        alpha = Image.fromarray(np.tile(np.linspace(0, 255, 48), (40, 1)).astype(np.uint8))
        base.putalpha(alpha)
        if name == "PA":
            image = Image.fromarray(scene()).convert("P", palette=Image.Palette.ADAPTIVE).convert("PA")
            image.putalpha(alpha)
            return image
        return base.convert("LA").convert(name) if name[0] == "L" else base.convert(name)
    image = base.convert("P", palette=Image.Palette.ADAPTIVE) if name == "P" else base.convert(name)
    if clear:
        pixel = image.getpixel((30, 10))
        image.info["transparency"] = bytes(range(256)) if clear == "alpha" else pixel
    return image


def reference(path, size, channels):
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode[0] in "IF":
        values = np.asarray(image).astype(float)
        says_range = image.mode.startswith("I;16") or (image.mode == "I" and path.suffix in (".ppm", ".pgm"))
        low, high = (0, 65535) if says_range else (values.min(), values.max())
        image = Image.fromarray(((values - low) / (high - low) * 255).astype(np.uint8))
    if image.mode == "La":
        image = image.convert("LA")
    ink = image.convert("RGB").convert("RGBA") if image.mode == "LAB" else image.convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", ink.size, "white"), ink).convert("L" if channels == 1 else "RGB")
    scale = size / min(shown.size)
    width, height = (max(size, round(side * scale)) for side in shown.size)
    left, top = (width - size) // 2, (height - size) // 2
    shown = shown.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return np.asarray(shown).reshape(size, size, channels)


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int)).mean()


def written(path, image, **options):
    """Return whether Pillow can write an image; a failed try leaves no file."""
    try:
        with quiet():
            image.save(path, **options)
    except (OSError, ValueError, KeyError, SystemError, TypeError):
        path.unlink(missing_ok=True)
        return False
    return True


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_mode_is_read_as_the_reference_reads_it(tmp_path, suffix):
    modes = []
    for mode in MODES:
        path = tmp_path / f"{mode}.{suffix}"
        image = picture(mode)
        options = FORMATS[suffix]
        if "transparency" in image.info:
            options = {**options, "transparency": image.info["transparency"]}
        if not written(path, image, **options):
            continue
        modes.append(mode)
        for size, channels in ((16, 1), (40, 3), (64, 3)):
            with quiet():
                found, expected = decode(path, size, channels), reference(path, size, channels)
            assert difference(found, expected) < 2, (mode, size, channels)
            assert found.dtype == np.uint8
    assert set(modes) >= set(WRITTEN.get(suffix, ("L", "RGB")))


BACK = {**TURNS, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""The transpositions of a shown image into the one that a camera stores."""


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif", "heic"])
@pytest.mark.parametrize("width", [48, 61])
def test_every_orientation_shows_the_same_picture(tmp_path, suffix, width):
    shown = Image.fromarray(scene(width))
    shown.save(tmp_path / f"0.{suffix}", **FORMATS[suffix])
    expected = decode(tmp_path / f"0.{suffix}", 24, 3)
    assert difference(expected, np.flip(expected, 1)) > 20
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        path = tmp_path / f"{orientation}.{suffix}"
        stored = shown.transpose(BACK[orientation]) if orientation > 1 else shown
        stored.save(path, exif=exif.tobytes(), **FORMATS[suffix])
        for size in (24, 40):
            assert difference(decode(path, size, 3), decode(tmp_path / f"0.{suffix}", size, 3)) < 2, orientation
            assert difference(decode(path, size, 3), reference(path, size, 3)) < 2, orientation


def png(rows, depth, colour, clear):
    """Return a PNG file of packed rows with the single transparent colour `clear`, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = len(rows[0]) * 8 // depth // (3 if colour == 2 else 1)
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    clear = struct.pack(f">{len(clear)}H", *clear)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"tRNS", clear), (b"IDAT", data), (b"IEND", b""))
    )


@pytest.mark.parametrize(
    ("rows", "depth", "colour", "clear", "expected"),
    [
        ([b"\xaa"] * 8, 1, 0, [0], [255, 255]),
        ([b"\xaa"] * 8, 1, 0, [1], [255, 0]),
        ([b"\x1b\x1b"] * 8, 2, 0, [1], [0, 255, 170, 255]),
        ([b"\x04\x8f" * 2] * 8, 4, 0, [8], [0, 68, 255, 255]),
        ([bytes([7, 9] * 4)] * 8, 8, 0, [7], [255, 9]),
        ([bytes([1, 5, 0, 5] * 4)] * 8, 16, 0, [0x105], [255, 0]),
        ([bytes([7, 7, 7, 9, 9, 9] * 4)] * 8, 8, 2, [7, 7, 7], [255, 9]),
        ([bytes([7, 1] * 3 + [9, 1] * 3) * 4] * 8, 16, 2, [0x701] * 3, [255, 9]),
    ],
)
def test_the_transparent_colour_of_png_is_white(tmp_path, rows, depth, colour, clear, expected):
    path = tmp_path / "a.png"
    path.write_bytes(png(rows, depth, colour, clear))
    assert decode(path, 8, 1)[0, :, 0].tolist() == expected * (8 // len(expected))
    assert decode(path, 8, 3)[0, :, 2].tolist() == expected * (8 // len(expected))


def tiff(path, values, *, format=1, bits=32, byte_order="<", photometric=1, smallest=None, greatest=None):
    """Write a TIFF file of one strip, of integers or floats in any form."""
    code = {(1, 16): "H", (2, 16): "h", (1, 32): "I", (2, 32): "i", (3, 32): "f"}[format, bits]
    data = values.astype(f"{byte_order}{code}").tobytes()
    tags = [(256, "H", values.shape[1]), (257, "H", values.shape[0]), (258, "H", bits), (259, "H", 1)]
    tags += [(262, "H", photometric), (273, "I", 8), (277, "H", 1), (278, "H", values.shape[0])]
    tags += [(279, "I", len(data)), (339, "H", format)]
    tags += [(number, code, value) for number, value in ((340, smallest), (341, greatest)) if value is not None]
    kinds = {"H": 3, "I": 4, "h": 8, "i": 9, "f": 11}
    directory = struct.pack(f"{byte_order}H", len(tags))
    for number, kind, value in tags:
        field = struct.pack(f"{byte_order}{kind}", value).ljust(4, b"\0")
        directory += struct.pack(f"{byte_order}HHI", number, kinds[kind], 1) + field
    start = struct.pack(f"{byte_order}2sHI", b"II" if byte_order == "<" else b"MM", 42, 8 + len(data))
    path.write_bytes(start + data + directory + bytes(4))


RAMP = np.arange(64).reshape(8, 8)
GREY = np.rint(RAMP * 255 / 63)


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize(
    ("values", "form", "expected"),
    [
        (RAMP * 1024, {"bits": 16}, RAMP * 4),
        (RAMP * 1024, {"bits": 16, "photometric": 0}, 255 - RAMP * 4),
        (RAMP, {"bits": 16, "smallest": 0, "greatest": 63}, GREY),
        (RAMP, {"bits": 16, "smallest": 5, "greatest": 5}, RAMP * 0),
        (RAMP - 30, {"bits": 16, "format": 2}, GREY),
        (RAMP * 10**7 - 3 * 10**8, {"format": 2}, GREY),
        (RAMP * 68 * 10**6, {}, GREY),
        (RAMP / 63, {"format": 3}, GREY),
        (RAMP * 1e30 - 1e31, {"format": 3}, GREY),
        (np.where(RAMP == 63, 65535, RAMP * 1040), {"format": 3}, GREY),
        (RAMP / 63 * 6e38 - 3e38, {"format": 3}, GREY),
        (RAMP * 1e-40, {"format": 3}, GREY),
        (RAMP / 63, {"format": 3, "smallest": -1.0, "greatest": 1.0}, np.rint(127.5 + RAMP / 63 * 127.5)),
        (RAMP, {"format": 3, "smallest": 40.0, "greatest": 50.0}, np.rint((RAMP.clip(40, 50) - 40) * 25.5)),
        (RAMP * 0 + 7, {"format": 3}, RAMP * 0),
        (np.where(RAMP % 9 == 4, np.nan, RAMP), {"format": 3}, np.where(RAMP % 9 == 4, 0, GREY)),
        (np.where(RAMP == 9, np.inf, RAMP), {"format": 3}, np.where(RAMP == 9, 0, GREY)),
    ],
)
def test_integers_and_floats_are_scaled_by_their_range(tmp_path, values, form, expected, byte_order):
    path = tmp_path / "a.tif"
    tiff(path, values, byte_order=byte_order, **form)
    if byte_order == ">" and (form == {} or "photometric" in form):
        # Pillow does not read this form.
        with pytest.raises(InputError, match=r"a\.tif: not a readable image"):
            decode(path, 8, 1)
        return
    assert np.abs(decode(path, 8, 1)[:, :, 0] - expected).max() <= 1


def test_floats_without_any_number_are_refused(tmp_path):
    tiff(tmp_path / "a.tif", RAMP * np.nan, format=3)
    with pytest.raises(InputError, match=r"a\.tif: not a readable image \(none of its values is a finite number\)"):
        decode(tmp_path / "a.tif", 8, 1)


def test_deep_pgm_is_scaled_by_its_maximum(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 8 8 1008\n" + (RAMP * 16).astype(">u2").tobytes())
    assert np.abs(decode(path, 8, 1)[:, :, 0] - GREY).max() <= 1
    path.write_bytes(b"P5 8 8 63\n" + RAMP.astype(np.uint8).tobytes())
    assert np.abs(decode(path, 8, 1)[:, :, 0] - GREY).max() <= 1


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif", "heic"])
def test_the_first_frame_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.n_frames == 3
    assert difference(decode(tmp_path / f"a.{suffix}", 8, 3)[4, 4], np.array([255, 0, 0])) < 3


MEASURE = """
import re, sys
from pathlib import Path
from clusterkit.datasets.decode import decode, quiet
from clusterkit.errors import InputError


def peak():
    # The peak in resource.getrusage can be that of the process that started this one.
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])


with quiet():
    decode(Path(sys.argv[1]), int(sys.argv[3]), 3)
    before = peak()
    try:
        print(decode(Path(sys.argv[2]), int(sys.argv[3]), 3).mean())
    except InputError as error:
        print(error)
print((peak() - before) // 1024)
"""


def decoded_alone(path, size=64):
    """Return the mean of a decoded image or its error, and the MiB of memory that decoding takes in a new process."""
    small = path.with_name(f"small{path.suffix}")
    Image.fromarray(scene()).save(small)
    command = [sys.executable, "-c", MEASURE, str(small), str(path), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    result, mib = done.stdout.splitlines()
    return result, int(mib)


def test_a_picture_with_damaged_exif_data_is_read_as_it_is_stored(tmp_path):
    image = Image.fromarray(scene())
    image.save(tmp_path / "a.png", exif=b"Exif\0\0" + bytes(range(200, 256)))
    image.save(tmp_path / "b.png")
    with pytest.raises(SyntaxError), Image.open(tmp_path / "a.png") as opened:
        opened.getexif()
    assert np.array_equal(decode(tmp_path / "a.png", 16, 3), decode(tmp_path / "b.png", 16, 3))


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")


@linux
@pytest.mark.parametrize("shape", [(1, 600_000), (600_000, 1)])
def test_a_long_thin_picture_needs_no_more_memory_than_its_pixels(tmp_path, shape):
    Image.new("L", shape, 200).save(tmp_path / "a.png")
    result, mib = decoded_alone(tmp_path / "a.png", 224)
    assert float(result) == 200
    assert mib < 40


@linux
def test_a_bomb_is_refused_without_being_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png([bytes(2500)] * 20_000, 1, 0, [1]))
    result, mib = decoded_alone(path)
    assert result == f"{path}: 400,000,000 pixels, and at most 178,956,970 are read; scale it down or remove it"
    assert mib < 20


@linux
def test_the_pictures_of_phones_are_read_whatever_their_size(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (16_320, 12_240), 90).save(path)
    result, mib = decoded_alone(path)
    assert float(result) == 90
    assert mib < 100


@linux
def test_a_large_picture_is_held_once(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (8_000, 7_000), (90, 90, 90, 0)).save(path, compress_level=1)
    result, mib = decoded_alone(path)
    assert float(result) == 255
    assert mib < 1.5 * 4 * 56_000_000 / 2**20


@linux
def test_a_picture_of_floats_is_held_once(tmp_path):
    path = tmp_path / "a.tif"
    Image.linear_gradient("L").resize((7_000, 5_000)).convert("F").save(path)
    result, mib = decoded_alone(path)
    assert 100 < float(result) < 155
    # The picture, its grey levels, and these in the mode RGB, which takes four bytes too.
    assert mib < 1.1 * (4 + 1 + 4) * 35_000_000 / 2**20


def test_a_picture_of_floats_waits_for_other_large_ones():
    assert _alone_if_large(Image.new("F", (5_000, 3_000))) is _alone_if_large(Image.new("L", (8_000, 7_000)))
    assert isinstance(_alone_if_large(Image.new("L", (5_000, 3_000))), nullcontext)


@pytest.mark.parametrize("mode", ["RGB", "P", "P clear", "RGBA", "LA", "CMYK", "1", "L", "I;16"])
@pytest.mark.parametrize("size", [(1601, 1200), (1200, 1601), (30, 40_000), (40_000, 30)])
def test_a_large_picture_is_read_at_a_reduced_resolution_as_in_full(tmp_path, mode, size, monkeypatch):
    image = picture(mode)
    clear = {key: image.info[key] for key in ("transparency",) if key in image.info}
    path = tmp_path / ("a.jpg" if mode in ("RGB", "CMYK") else "a.png")
    image.resize(size, Image.Resampling.NEAREST).save(path, **clear)
    full = decode(path, 48, 3)
    assert full.std() > 5
    monkeypatch.setattr("clusterkit.datasets.decode.LARGE", 10**6)
    assert difference(decode(path, 48, 3), full) < 2


def test_a_jpeg_of_too_many_pixels_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (16, 16)).save(path)
    content = path.read_bytes()
    size = content.index(b"\xff\xc0") + 5
    path.write_bytes(content[:size] + struct.pack(">HH", 20_000, 20_000) + content[size + 4 :])
    with pytest.raises(InputError, match=rf"a\.jpg: 400,000,000 pixels, and at most {LARGEST_JPEG:,} are read"):
        decode(path, 8, 1)


def damaged(content, rng):
    """Return the content of a file with a random defect."""
    place, content = rng.randrange(len(content)), bytearray(content)
    match rng.randrange(4):
        case 0:
            del content[max(1, place) :]
        case 1:
            for _ in range(rng.choice((1, 5, 30))):
                content[rng.randrange(len(content))] = rng.randrange(256)
        case 2:
            content[place : place + rng.randrange(40)] = bytes(8)
        case 3:
            content[rng.randrange(min(100, len(content)))] ^= 255
    return bytes(content)


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_read_or_refused_in_one_line_without_any_other_word(tmp_path, suffix, capfd, recwarn):
    path, rng, messages = tmp_path / f"a.{suffix}", random.Random(suffix), []
    for mode in ("L", "P", "RGB", "RGBA"):
        if not written(path, picture(mode), **FORMATS[suffix]):
            continue
        content = path.read_bytes()
        for _ in range(10):
            path.write_bytes(damaged(content, rng))
            try:
                assert read_images([path], 16, 3).shape == (1, 3, 16, 16)
            except InputError as error:
                messages.append(str(error))
    assert messages
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def damaged_tiff(path):
    """Write a TIFF file that libtiff complains of."""
    Image.fromarray(scene()).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content) // 2, 3):
        content[place] ^= 90
    path.write_bytes(content)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_processes_of_a_stream_say_nothing(tmp_path, blocks, capfd):
    paths = [tmp_path / f"{number}.tif" for number in range(4)]
    for path in paths:
        damaged_tiff(path)
    with pytest.raises(InputError, match=r"^[^\n]*[0-3]\.tif: not a readable image[^\n]*$"):
        list(Stream(tuple(paths), 8, 3).batches(torch.arange(4).chunk(blocks)))
    assert capfd.readouterr() == ("", "")


def test_libtiff_and_pillow_say_nothing(tmp_path):
    damaged_tiff(tmp_path / "a.tif")
    Image.new("1", (10_000, 9_000)).save(tmp_path / "b.png")
    code = """
import sys
from pathlib import Path
import PIL.Image
from clusterkit.datasets.images import read_images
from clusterkit.errors import InputError
for path in map(Path, sys.argv[1:]):
    try:
        read_images([path], 8, 1)
        print("read")
    except InputError as error:
        print("refused")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.tif"), str(tmp_path / "b.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["refused", "read"], "")
    # The same files are not silent when Pillow alone reads them.
    code = "import sys; from PIL import Image; [Image.open(path).load() for path in sys.argv[:0:-1]]"
    done = subprocess.run([sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=False)
    assert "DecompressionBombWarning" in done.stderr
    assert "Using code not yet in table" in done.stderr


def test_the_filters_of_the_program_come_back(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    before = list(warnings.filters)
    read_images([tmp_path / "a.png"] * 100, 8, 1)
    assert warnings.filters == before


def test_a_drawing_is_not_handed_to_another_program(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(scene()).save(path, format="EPS")
    with pytest.raises(InputError, match=r"a\.png: not a readable image \(EPS files hold no pictures\)"):
        decode(path, 8, 1)


def test_a_picture_is_whole_in_colour_and_upright(tmp_path):
    path, exif = tmp_path / "a.png", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright = Image.fromarray(scene()).convert("RGB")
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    read = whole(path, 8)
    assert (read.mode, read.size) == ("RGB", upright.size)
    assert np.array_equal(np.asarray(read), np.asarray(upright))
    Image.new("LA", (20, 10), (0, 0)).save(path)
    assert whole(path, 8).getcolors() == [(200, (255, 255, 255))]
    Image.new("I;16", (20, 10), 65535).save(path)
    assert whole(path, 8).getcolors() == [(200, (255, 255, 255))]
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        whole(path, 8)


def test_a_picture_of_many_pixels_is_reduced(tmp_path, monkeypatch):
    Image.new("RGB", (3000, 2000), "red").save(tmp_path / "a.jpg")
    assert whole(tmp_path / "a.jpg", 100).size == (750, 500)
    assert whole(tmp_path / "a.jpg", 800).size == (3000, 2000)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    assert whole(tmp_path / "a.png", 10).size == (300, 200)
    monkeypatch.setattr("clusterkit.datasets.decode.LARGE", 1000)
    assert whole(tmp_path / "a.png", 10).size == (60, 40)
