"""The decoder against a reference written with Pillow alone, on every mode and format that Pillow writes."""

import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, features

from clusterkit.datasets.decode import LARGEST_JPEG, decode, quiet
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
        low, high = (values.min(), values.max()) if path.suffix in (".tif", ".pfm") else (0, 65535)
        if image.mode.startswith("I;16"):
            low, high = 0, 65535
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
    print(suffix, modes)
    assert modes
