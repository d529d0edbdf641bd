"""A photographer's folder: some 60 small pictures of three kinds, as cameras, phones and programs leave them.

To look at it: python tests/photographer.py FOLDER
For 262 of about the size that large networks read: python tests/photographer.py FOLDER 13 5
"""

import io
import os
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

KINDS = ("disc", "stripes", "frame")
"""What is in a picture; each kind has colours of its own, which vary a little."""
OTHERS = ("cross", "triangle", "dots", "rings")
"""What is in the labelled pictures."""
COLOURS = {"disc": ((210, 60, 50), (240, 225, 190)), "stripes": ((40, 70, 190), (170, 215, 250)),
           "frame": ((30, 110, 50), (225, 250, 140)), "cross": ((120, 30, 130), (250, 220, 250)),
           "triangle": ((20, 120, 130), (240, 240, 235)), "dots": ((60, 60, 60), (250, 190, 110)),
           "rings": ((150, 90, 20), (200, 240, 220))}  # fmt: skip
ALBUMS = ("", "Лето 2019", os.fsdecode(b"caf\xe9"), "trip@0-1", "scans/old")
"""The folders of the pictures, with names in Cyrillic, in Latin-1 bytes and like a selection of classes."""
COPIES = "zurück"
"""The folder of copies, which comes last in the order of the paths."""
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How a picture is stored that its EXIF orientation turns upright again."""


@dataclass(frozen=True)
class Form:
    """How a picture is stored."""

    suffix: str
    format: str
    mode: str = "RGB"
    orientation: int = 1


FORMS = (
    Form(".JPG", "JPEG"), Form(".jpg", "JPEG", orientation=3), Form(".jpg", "JPEG", orientation=6),
    Form(".jpeg", "JPEG", orientation=8), Form(".jfif", "JPEG"), Form(".jpg", "JPEG", "L"),
    Form(".jpg", "JPEG", "CMYK"),
    Form(".png", "PNG"), Form(".PNG", "PNG", "RGBA"), Form(".png", "PNG", "LA"), Form(".png", "PNG", "P"),
    Form(".png", "PNG", "I;16"), Form(".gif", "GIF", "P"), Form(".bmp", "BMP"), Form(".tif", "TIFF"),
    Form(".tiff", "TIFF", "I;16"), Form(".webp", "WEBP", "RGBA"), Form(".jp2", "JPEG2000"), Form(".heic", "HEIF"),
    Form(".avif", "AVIF"),
)  # fmt: skip
EACH = 3
"""Pictures of each form: one of each kind."""


def build(place: Path, each: int = EACH, scale: int = 1) -> dict[str, str]:
    """Make the folder, which must not exist yet; return the kind of each picture by its path from the folder.

    They are the pictures that `--flat --skip-bad` reads. There are `each` of each form, whose sides are `scale` times
    those of small ones.
    """
    import pillow_heif

    pillow_heif.register_heif_opener()
    chance = random.Random(0)
    kinds = {}
    for number in range(each * len(FORMS)):
        form, kind = FORMS[number // each], KINDS[number % len(KINDS)]
        name = Path(ALBUMS[chance.randrange(len(ALBUMS))], f"IMG_{number:04d}{form.suffix}")
        save(drawn(kind, chance, scale), form, place / name)
        kinds[name.as_posix()] = kind
    kinds |= copies(place, kinds)
    add_trouble(place)
    add_clutter(place)
    return kinds


def build_labelled(place: Path, each: int = 6, scale: int = 1) -> None:
    """Make a folder with a subfolder for each other kind, which holds `each` pictures of it."""
    chance = random.Random(1)
    for kind in OTHERS:
        for number in range(each):
            save(drawn(kind, chance, scale), Form(".png", "PNG"), place / kind / f"{number}.png")


def drawn(kind: str, chance: random.Random, scale: int = 1) -> Image.Image:
    """Draw a picture of a kind, in a size of its own."""
    ink, paper = (tuple(max(0, min(255, value + chance.randint(-20, 20))) for value in pair) for pair in COLOURS[kind])
    width, height = scale * chance.randint(40, 90), scale * chance.randint(40, 90)
    image = Image.new("RGB", (width, height), paper)
    pen, middle, radius = ImageDraw.Draw(image), (width // 2, height // 2), min(width, height) // 3
    box = [middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius]
    if kind == "disc":
        pen.ellipse(box, ink)
    elif kind == "stripes":
        for start in range(scale * chance.randint(0, 5), height, 12 * scale):
            pen.rectangle([0, start, width, start + 5 * scale], ink)
    elif kind == "frame":
        pen.rectangle(box, None, ink, 6 * scale)
    elif kind == "cross":
        pen.line([0, 0, width, height], ink, 8 * scale)
        pen.line([0, height, width, 0], ink, 8 * scale)
    elif kind == "triangle":
        pen.polygon([(box[0], box[3]), (box[2], box[3]), (middle[0], box[1])], ink)
    elif kind == "dots":
        for _ in range(12):
            x, y = chance.randint(0, width), chance.randint(0, height)
            pen.ellipse([x, y, x + 6 * scale, y + 6 * scale], ink)
    else:
        for inner in range(0, radius, 8 * scale):
            pen.ellipse([box[0] + inner, box[1] + inner, box[2] - inner, box[3] - inner], None, ink, 3 * scale)
    return image


def save(image: Image.Image, form: Form, path: Path) -> None:
    """Store a picture; those with transparency are clear in a corner, which viewers show white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form.mode == "I;16":
        grey = image.convert("L")
        image = Image.frombytes("I;16", grey.size, bytes(byte for value in grey.tobytes() for byte in (0, value)))
    elif form.mode == "P":
        image = image.quantize(16)
    else:
        image = image.convert(form.mode)
        if form.mode in ("LA", "RGBA"):
            image.paste((0,) * len(form.mode), (0, 0, 6, 6))
    more = {}
    if form.orientation in TURNS:
        image = image.transpose(TURNS[form.orientation])
        exif = Image.Exif()
        exif[0x0112] = form.orientation
        more["exif"] = exif
    # JPEG 2000 takes no path whose bytes are not UTF-8.
    content = io.BytesIO()
    image.save(content, form.format, **more)
    path.write_bytes(content.getvalue())


def copies(place: Path, kinds: dict[str, str]) -> dict[str, str]:
    """Add an exact and a nearly equal copy of the first picture, and second names of it; return the kinds of copies."""
    first = next(iter(kinds))
    (place / COPIES).mkdir()
    shutil.copyfile(place / first, place / COPIES / "exact.JPG")
    with Image.open(place / first) as image:
        image.save(place / COPIES / "near.jpg", quality=60)
    os.link(place / first, place / COPIES / "hard.jpg")
    (place / COPIES / "soft.jpg").symlink_to(place / first)
    return {f"{COPIES}/{name}": kinds[first] for name in ("exact.JPG", "near.jpg")}


TROUBLE = ("broken/empty.jpg", "broken/gone.jpg", "broken/text.png", "broken/truncated.jpg")
"""The files that cannot be read."""


def add_trouble(place: Path) -> None:
    """Add files that cannot be read, and links that go round."""
    broken = place / "broken"
    broken.mkdir()
    (broken / "empty.jpg").touch()
    (broken / "text.png").write_text("no picture")
    drawn("disc", random.Random(1)).save(broken / "truncated.jpg")
    (broken / "truncated.jpg").write_bytes((broken / "truncated.jpg").read_bytes()[:700])
    (broken / "gone.jpg").symlink_to("nowhere.jpg")
    (place / "scans" / "round").symlink_to("..", target_is_directory=True)
    (place / "scans" / "again").symlink_to("old", target_is_directory=True)


def add_clutter(place: Path) -> None:
    """Add what systems, programs and people leave beside pictures, and a picture without a suffix."""
    image = drawn("frame", random.Random(2))
    for name in ("@eaDir/SYNOPHOTO_THUMB_M.jpg", ".thumbnails/a.jpg", "__MACOSX/a.jpg", ".hidden.jpg"):
        path = place / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, "JPEG")
    for name in (".DS_Store", "._IMG_0000.JPG", "Thumbs.db", "desktop.ini", "notes.txt", "film.MOV", "raw.CR2"):
        (place / name).write_bytes(b"\0\1\2\3")
    image.save(place / "scan0001", "PNG")


if __name__ == "__main__":
    print(len(build(Path(sys.argv[1]), *map(int, sys.argv[2:]))), "pictures")
