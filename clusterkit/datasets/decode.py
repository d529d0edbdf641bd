"""Turning one image file into the pixels that a viewer shows."""

import ctypes
import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, _imaging
from PIL.JpegImagePlugin import JpegImageFile

from clusterkit.errors import InputError

UNREADABLE = Exception
"""The errors of a file that is not an image or is damaged: for these, Pillow's plugins raise errors of any type."""

NOT_PICTURES = {
    "EPS", "WMF",  # drawings, which Pillow hands to a program of the machine
    "BUFR", "GRIB", "HDF5",  # measurements, which Pillow recognises but cannot read
    "FITS",  # measurements without a common scale of brightness
    "MPEG",  # films
}  # fmt: skip
"""Formats that Pillow opens and that are not read as images."""

LARGE = 50_000_000
"""Images of more pixels are decoded one at a time in each process, and are reduced before they are converted."""

SPARE = 4
"""The side of a reduced image is at least this multiple of the final one, so that reducing it hardly shows."""

LARGEST_JPEG = 300_000_000
"""The most pixels of a JPEG image. Phones take pictures of 200 million; other formats have the limit of Pillow."""

GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
"""Pillow's modes that cannot hold colours."""

PHOTOMETRIC, BITS, FORMAT, SMALLEST, GREATEST = 262, 258, 339, 340, 341
"""The tags of TIFF that say how values become grey levels."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transpositions that bring a stored image into the position that its EXIF orientation asks for."""

# Without a handler of its own, Pillow's logger would write to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_one_large = Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings of Pillow. Enter it around all threads that decode: Python's filters belong to all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\b")
        yield


@cache
def silence_libtiff() -> None:
    """Switch off the lines that libtiff writes to stderr, where Pillow's copy of libtiff can be reached."""
    try:
        library = ctypes.CDLL(_imaging.__file__)
        handlers = library.TIFFSetErrorHandler, library.TIFFSetWarningHandler
    except (OSError, AttributeError):
        return
    for handler in handlers:
        handler.restype = ctypes.c_void_p
        handler(None)


def unreadable(path: Path, error: Exception) -> InputError:
    """Return the error for an image file that cannot be opened or decoded."""
    if isinstance(error, Image.DecompressionBombError):
        numbers = re.findall(r"\d+", str(error))
        if len(numbers) == 2:
            return too_large(path, *map(int, numbers))
    reason = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "damaged, or of an unknown format"
    return InputError(f"{path}: not a readable image ({reason}); remove or replace it")


def too_large(path: Path, pixels: int, limit: int) -> InputError:
    return InputError(f"{path}: {pixels:,} pixels, and at most {limit:,} are read; scale it down or remove it")


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file of any format. Every error in the `with` block becomes an InputError that names the file."""
    try:
        with _open(path) as image:
            if image.format in NOT_PICTURES:
                raise ValueError(f"{image.format} files hold no pictures")
            if image.format == "TIFF":
                silence_libtiff()
            yield image
    except InputError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            if file.read(12)[4:8] != b"ftyp":
                raise
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return Image.open(path)
    except Image.DecompressionBombError as error:
        try:
            image = JpegImageFile(path)
        except SyntaxError:
            raise error from None
        if (pixels := image.width * image.height) > LARGEST_JPEG:
            image.close()
            raise too_large(path, pixels, LARGEST_JPEG) from error
        return image


def decode(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Read one image file as uint8 (size, size, C) with C = 1 or 3.

    The image is turned as its EXIF orientation says. Its shorter side is scaled to `size` and the middle is kept.
    Transparent parts are white. Raises InputError that names a file that is unreadable or has too many pixels.
    """
    mode = "L" if channels == 1 else "RGB"
    with opened(path) as image, _alone_if_large(image):
        is_large = image.width * image.height > LARGE
        if is_large and isinstance(image, JpegImageFile):
            image.draft(None, (SPARE * size, SPARE * size))
        scale_clear_colour(image)
        image.load()
        shown = reduced(image, mode, SPARE * size) if is_large else converted(image, mode)
        return np.asarray(fitted(shown, size, orientation_of(image))).reshape(size, size, channels)


def picture(path: Path, side: int) -> Image.Image:
    """Read one image file whole in RGB, for a use that scales its shorter side to about `side` pixels.

    It is turned as its EXIF orientation says, and transparent parts are white. A JPEG image whose shorter side has
    many times as many pixels, and any large image, is reduced by a whole factor. Raises InputError as `decode` does.
    """
    with opened(path) as image, _alone_if_large(image):
        is_large = image.width * image.height > LARGE
        if isinstance(image, JpegImageFile):
            image.draft(None, (SPARE * side, SPARE * side))
        scale_clear_colour(image)
        image.load()
        shown = reduced(image, "RGB", SPARE * side) if is_large else converted(image, "RGB")
        orientation = orientation_of(image)
        # The original of an image that needs no conversion belongs to the open file.
        return shown.transpose(TURNS[orientation]) if orientation in TURNS else shown.copy()


def thumbnail(path: Path, longest: int) -> Image.Image:
    """Read one image file as a small grey or colour image, whose longer side has at most `longest` pixels.

    It is shown whole, turned as its EXIF orientation says. Raises InputError as `decode` does.
    """
    with opened(path) as image, _alone_if_large(image):
        mode = "L" if image.mode in GREY_MODES else "RGB"
        image.draft(mode, (SPARE * longest, SPARE * longest))
        scale_clear_colour(image)
        image.load()
        is_large = image.width * image.height > LARGE
        shown = reduced(image, mode, SPARE * longest) if is_large else converted(image, mode)
        # The original of an image that needs no conversion belongs to the open file.
        small = shown.copy()
        small.thumbnail((longest, longest))
        orientation = orientation_of(image)
        return small.transpose(TURNS[orientation]) if orientation in TURNS else small


def _alone_if_large(image: Image.Image) -> AbstractContextManager[Any]:
    """Let large images wait for each other, so that several threads do not hold several of them.

    Pixels of four bytes, integers and floats, count as four.
    """
    weight = 4 if image.mode in ("I", "F") else 1
    return _one_large if weight * image.width * image.height > LARGE else nullcontext()


def orientation_of(image: Image.Image) -> Any:
    """Return the orientation that the EXIF or XMP data of a loaded image say; 1 if these are damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return 1


def fitted(image: Image.Image, size: int, orientation: Any) -> Image.Image:
    """Return the middle of an image with the shorter side scaled to `size`, turned by its EXIF orientation.

    Scaling and cropping are one step, so that a long thin image needs no more memory than another.
    """
    if image.size != (size, size):
        scale = size / min(image.size)
        box = []
        # The middle of an odd number of pixels is rounded towards the start of the turned image.
        for side, is_reversed in zip(
            image.size, (orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)), strict=True
        ):
            length = max(size, round(side * scale))
            start = (length - size + is_reversed) // 2
            box.append((start * side / length, (start + size) * side / length))
        (left, right), (top, bottom) = box
        image = image.resize((size, size), Image.Resampling.BILINEAR, (left, top, right, bottom))
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def scale_clear_colour(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG image that is not loaded from the bits of its file to 8, as its pixels."""
    clear = image.info.get("transparency")
    if image.format == "PNG" and image.mode in ("L", "RGB") and clear is not None:
        bits = re.search(r"(?:L|RGB);(\d+)", str(getattr(image, "tile", "")))
        if bits and image.mode == "L":
            image.info["transparency"] = clear * 255 // (2 ** int(bits[1]) - 1)
        elif bits:
            image.info["transparency"] = tuple(value >> 8 for value in clear)


def reduced(image: Image.Image, mode: str, size: int) -> Image.Image:
    """Return a loaded image in a mode, with its shorter side reduced towards `size` by a whole factor.

    Only a strip of it is held in full size, except for integers and floats: their grey levels are held whole.
    """
    image = levels(image) if image.mode[0] in "IF" else image
    factor = max(1, min(image.size) // size)
    width, height = image.size
    rows = factor * max(1, LARGE // 50 // (width * factor))
    whole = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        whole.paste(converted(strip, mode).reduce(factor), (0, top // factor))
    return whole


def converted(image: Image.Image, mode: str) -> Image.Image:
    """Return a loaded image in mode L or RGB as a viewer shows it."""
    image = plain(image)
    return image if image.mode == mode else image.convert(mode)


def plain(image: Image.Image) -> Image.Image:
    """Return a loaded image in a mode of 8 bits that converts to L and RGB, with transparent parts on white."""
    if image.mode[0] in "IF":
        return levels(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "LAB":
        image = image.convert("RGB")
    if image.has_transparency_data:
        ink = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", ink.size, "white"), ink)
    return image


def value_range(image: Image.Image) -> tuple[float | None, float | None]:
    """Return the values that are black and white, as far as the file of an image of mode I, I;16 or F says them."""
    low = high = None
    if image.mode.startswith("I;16"):
        low, high = 0.0, 2 ** (tag(image, BITS) or 16) - 1
    elif image.mode == "I" and image.format in ("PNG", "PPM"):
        low, high = 0.0, 65535.0
    smallest, greatest = tag(image, SMALLEST), tag(image, GREATEST)
    smallest, greatest = low if smallest is None else smallest, high if greatest is None else greatest
    is_range = smallest is None or greatest is None or smallest < greatest
    return (smallest, greatest) if is_range else (low, high)


def tag(image: Image.Image, number: int) -> float | None:
    """Return the number in a tag of a TIFF file, that of the first channel; None without a finite number."""
    value = getattr(image, "tag_v2", {}).get(number)
    value = next(iter(value), None) if isinstance(value, tuple) else value
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def strips(image: Image.Image) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the values of an image of integers or floats in blocks of rows, each with the number of its first row."""
    is_unsigned = image.mode == "I" and tag(image, FORMAT) == 1 and tag(image, BITS) == 32
    rows = max(1, LARGE // 50 // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        yield top, values.view(np.uint32) if is_unsigned else values


def finite_range(image: Image.Image) -> tuple[float, float]:
    """Return the smallest and the largest finite value. Raises ValueError if there is none."""
    ends = []
    for _, values in strips(image):
        finite = values[np.isfinite(values)] if image.mode == "F" else values
        ends += [(float(finite.min()), float(finite.max()))] if finite.size else []
    if not ends:
        raise ValueError("none of its values is a finite number")
    return min(low for low, _ in ends), max(high for _, high in ends)


def levels(image: Image.Image) -> Image.Image:
    """Return an image of integers or floats as grey levels; its own range counts if its file says none.

    Values that are not finite count as the smallest one. Only a strip of the image is held in float64.
    """
    low, high = value_range(image)
    smallest, largest = finite_range(image) if image.mode == "F" or low is None or high is None else (low, high)
    low, high = smallest if low is None else low, largest if high is None else high
    grey = np.zeros((image.height, image.width), np.uint8)
    clear = image.info.get("transparency")
    for top, values in strips(image):
        if image.mode == "F":
            values = np.where(np.isfinite(values), values, np.float32(smallest))
        strip = grey[top : top + len(values)]
        if (low, high) == (0, 65535) and image.mode != "F":
            strip[:] = values.clip(0, 65535) >> 8
        elif low < high:
            # In float32, the difference of two floats can overflow.
            share = (values.astype(np.float64).clip(low, high) - low) / (high - low)
            strip[:] = np.rint(255 * share)
        if tag(image, PHOTOMETRIC) == 0:
            np.invert(strip, out=strip)
        if isinstance(clear, int):
            strip[values == clear] = 255
    return Image.fromarray(grey)
