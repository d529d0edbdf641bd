"""Which files of a folder are read, and what is said of the others."""

import errno
import logging
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from clusterkit import console
from clusterkit.datasets import find, folder, images
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import USUAL, Reading

FLAT, SNIFF, SKIP, KEEP = (
    Reading(flat=True),
    Reading(sniff=True),
    Reading(skip_bad=True),
    Reading(keep_duplicates=True),
)


def picture(path: Path, shade: int = 0, format: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 90, 30)).save(path, format)
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of six pictures of different shades, as they can be typed from the current folder."""
    for number in range(6):
        picture(tmp_path / "album" / f"{number}.png", 40 * number)
    return Path("album")


def read(place: Path | str, reading: Reading = USUAL) -> Dataset:
    return load_dataset(f"folder:{place}", Path(), size=8, reading=reading)


def names(place: Path | str, reading: Reading = USUAL) -> tuple[str, ...] | None:
    return read(place, reading).union().names


def line(caplog: pytest.LogCaptureFixture) -> str:
    """The line on what was left out, of the last reading."""
    [text] = [record.getMessage() for record in caplog.records if "left out:" in record.getMessage()]
    return text.partition("left out: ")[2]


@pytest.fixture(autouse=True)
def _messages(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")


def test_suffixes_are_those_of_pictures_that_pillow_opens_in_any_case(album: Path) -> None:
    known = find.suffixes()
    assert known >= {".jfif", ".jpe", ".jp2", ".webp", ".tif", ".heic", ".heif", ".avif", ".mpo", ".psd", ".ico"}
    assert not known & {".pdf", ".eps", ".ps", ".mpg", ".h5", ".hdf", ".grib", ".fits", ".wmf", ".txt", ""}
    for name in ("A.JPG", "b.JfIf", "c.JP2"):
        picture(album / name, format={"2": "JPEG2000"}.get(name[-1], "JPEG"))
    assert names(album) == (*(f"{n}.png" for n in range(6)), "A.JPG", "b.JfIf", "c.JP2")


def test_what_is_left_out_is_counted_by_reason_in_one_line(
    album: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.MOV", "c.mov", ".hidden.png", "Thumbs.db", "._0.png", "README"):
        (album / name).write_text("text")
    for inner in ("@eaDir", "__MACOSX", ".thumbnails", "$RECYCLE.BIN", ".git"):
        picture(album / inner / "0.png")
    (album / "second.png").symlink_to("0.png")
    assert len(read(album)) == 6
    assert line(caplog) == (
        "3 not images (.mov, .txt), 1 without a suffix (--sniff reads the images among them), 2 hidden, "
        "6 of the system ($RECYCLE.BIN, ._*, .thumbnails, @eaDir, Thumbs.db, ...), "
        "1 second name of a file (--keep-duplicates reads it)"
    )


def test_nothing_is_said_where_nothing_is_left_out(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(album)
    assert not caplog.records


def test_loose_photos_beside_albums(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(album / "tulips" / "x.png")
    with pytest.raises(InputError, match=r"one class only \('tulips'\), and 6 images outside it; .* --flat$"):
        read(album)
    picture(album / "dogs" / "deep" / "y.png")
    labelled = read(album)
    assert labelled.union().names == ("dogs/deep/y.png", "tulips/x.png")
    assert (labelled.classes, labelled.union().ids.tolist()) == (("dogs", "tulips"), [0, 1])
    assert line(caplog) == "6 outside the class folders (--flat reads them)"
    flat = read(album, FLAT)
    assert (len(flat), flat.labels, flat.classes) == (8, None, ())
    assert flat.to_header()["reading"] == {"flat": True}
    with pytest.raises(UsageError, match="@ selects classes, but --flat reads no labels"):
        read(f"{album}@0", FLAT)


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(InputError, match=r"^raw: no images in this folder; name another folder$"):
        read("raw")
    for name in ("a.cr2", "b.cr2", "c"):
        (tmp_path / "raw" / name).write_bytes(b"raw")
    with pytest.raises(InputError, match=r"no images in this folder \(left out: 2 not images \(\.cr2\), 1 without"):
        read("raw")
    with pytest.raises(InputError, match=r"raw/a\.cr2': is a file, but folder: reads a folder"):
        read("raw/a.cr2")
    with pytest.raises(InputError, match=r"^nowhere: cannot be read as a folder \(No such file"):
        read("nowhere")


def test_files_without_a_suffix_are_read_by_their_content(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Dr. No in Rome", "scan", "scan 2020.05.01"):
        picture(album / name, 9)
    for name, content in (("Makefile", b"all:"), ("empty", b""), ("drawing", b"%!PS-Adobe-3.0 EPSF-3.0\n")):
        (album / name).write_bytes(content)
    os.mkfifo(album / "pipe")
    assert names(album, SNIFF) == (*(f"{n}.png" for n in range(6)), "Dr. No in Rome", "scan", "scan 2020.05.01")
    assert line(caplog) == "4 not images"


def test_links_to_folders_are_followed_once_and_cycles_end(
    album: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "elsewhere" / "deep" / "z.png")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "album")
    (album / "a").symlink_to(tmp_path / "elsewhere")
    (album / "b").symlink_to(tmp_path / "elsewhere" / "deep")
    (album / "inner").mkdir()
    (album / "inner" / "self").symlink_to(".")
    assert names(album, FLAT) == (*(f"{n}.png" for n in range(6)), "a/deep/z.png")
    assert line(caplog) == "3 links to folders read under another name (b, back, self)"


def test_a_file_keeps_the_name_that_it_has_without_links(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "z" / "x.png")
    (tmp_path / "set" / "a").symlink_to("z")
    assert names("set", FLAT) == ("z/x.png",)


def test_names_of_one_file_count_once(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    (album / "a").mkdir()
    os.link(album / "0.png", album / "a" / "hard.png")
    (album / "a" / "soft.png").symlink_to("../1.png")
    (album / "copy.png").write_bytes((album / "2.png").read_bytes())
    usual = (*(f"{n}.png" for n in range(6)), "copy.png")
    assert names(album, FLAT) == usual
    assert line(caplog).startswith("2 second names of a file (--keep-duplicates")
    caplog.clear()
    assert names(album, Reading(flat=True, keep_duplicates=True)) == (*usual[:6], "a/hard.png", "a/soft.png", usual[6])
    assert not caplog.records


def test_a_loose_file_does_not_take_the_place_of_its_name_in_a_class(
    album: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for title, number in (("x", 0), ("y", 1)):
        (album / title).mkdir()
        os.link(album / f"{number}.png", album / title / "in.png")
    os.link(album / "x" / "in.png", album / "y" / "same.png")
    assert names(album) == ("x/in.png", "y/in.png")
    assert "album: files with names in two classes: 1; the first name decides on the class" in caplog.text


def test_the_work_folder_is_no_data(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(album / "clusterkit-out" / "report" / "thumbnail.png")
    (album / "clusterkit-out" / "g.safetensors").write_bytes(b"x")
    picture(album / "a" / "clusterkit-out" / "plot.png")
    picture(album / "b" / "my-work" / "plot.png")
    (album / "b" / "my-work" / "pairs.h5").write_bytes(b"x")
    assert len(read(album)) == 6
    assert line(caplog) == "3 folders with files of clusterkit (clusterkit-out, my-work)"
    (album / "g.safetensors").write_bytes(b"x")
    assert len(read(album)) == 6


def spoil(album: Path) -> None:
    """Make the second image empty, the fourth a text and the fifth truncated; add a link to nothing."""
    (album / "1.png").write_bytes(b"")
    (album / "3.png").write_text("text")
    (album / "4.png").write_bytes((album / "4.png").read_bytes()[:45])
    (album / "6.png").symlink_to("nowhere")


@pytest.mark.parametrize(("is_streamed", "is_kept"), [(False, False), (True, True), (True, False)])
def test_all_unreadable_images_are_named_at_once_or_skipped(
    is_streamed: bool, is_kept: bool, album: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if not is_kept:
        (tmp_path / "cache").touch()
    if is_streamed:
        monkeypatch.setattr(images, "MEMORY", 0)
    whole = read(album).union()
    spoil(album)
    with pytest.raises(InputError) as caught:
        read(album)
    message = str(caught.value)
    assert message.startswith("album: 4 unreadable: album/1.png: an empty file, album/3.png: not a readable image (")
    assert "album/4.png: not a readable image (" in message
    assert "album/6.png: cannot be read (No such file or directory); remove or replace them, or leave " in message
    assert message.endswith("leave them out with --skip-bad in the command that names the set")
    caplog.clear()
    good = read(album, SKIP).union()
    assert isinstance(good.images, Stream) == is_streamed
    assert (good.ids.tolist(), good.names) == ([0, 2, 5], ("0.png", "2.png", "5.png"))
    assert torch.equal(torch.cat(list(good.blocks())), torch.cat(list(whole.take(good.ids).blocks())))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(":")[0] for text in warned] == [f"album/{number}.png" for number in (1, 3, 4, 6)]
    assert caplog.records[-1].getMessage() == "album: 3 images; left out: 4 unreadable"


def test_an_id_does_not_move_when_an_image_is_mended(album: Path) -> None:
    whole = (album / "1.png").read_bytes()
    (album / "1.png").write_bytes(b"")
    assert read(album, SKIP).union().ids.tolist() == [0, 2, 3, 4, 5]
    with pytest.raises(InputError, match=r"^album/1\.png: an empty file; remove or replace it, or leave it out with"):
        read(album)
    (album / "1.png").write_bytes(whole)
    assert read(album).union().ids.tolist() == list(range(6))


def test_nothing_is_left_to_skip(album: Path) -> None:
    for path in album.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"album: 6 unreadable: .*; remove or replace them, or name another folder$"):
        read(album, SKIP)


def test_images_in_the_cache_are_not_read_to_check_them(
    album: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "MEMORY", 0)
    monkeypatch.setattr("clusterkit.datasets.decoded.MARGIN", 0)
    read(album)
    decoded = []
    monkeypatch.setattr("clusterkit.datasets.stream.decode", lambda *given: decoded.append(given))
    read(album)
    assert not decoded


def test_a_folder_that_must_not_be_read_is_named(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(album / "closed" / "x.png")
    scandir = os.scandir

    def denied(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"^album/closed: cannot be read \(Permission denied\); remove"):
        read(album, FLAT)
    assert len(read(album, Reading(flat=True, skip_bad=True))) == 6
    for path in album.glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"^album/closed: cannot be read \(Permission denied\); .* another folder$"):
        read(album, SKIP)


def test_many_unreadable_images_are_counted(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MANY", 3)
    # As in a program: without the work folder of a command.
    monkeypatch.setattr(console.log, "handlers", [])
    spoil(album)
    with pytest.raises(InputError, match=r"album/1\.png: .*, album/4\.png: [^,]* and 1 more; remove"):
        read(album)


ODD = ["a b", "100%s", "-dash", "~user", "колл", "tab\there", "line\nbreak", "caf\udce9", "x:y", "trip@0-4", "@2"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_folders_and_files_are_read_and_recorded(name: str, tmp_path: Path) -> None:
    picture(tmp_path / name / f"{name}.png")
    picture(tmp_path / name / "b.png", 200)
    typed = f"./{name}" if name.startswith("~") else name
    found = read(typed)
    assert set(found.union().names or ()) == {f"{name}.png", "b.png"}
    again = read(found.name.removeprefix("folder:"))
    assert (again.name, again.fingerprint) == (found.name, found.fingerprint)
    assert all("\n" not in found.union().title(position) for position in range(2))
    assert found.to_learned()["labels"]


def test_the_order_of_names_is_that_of_their_bytes(tmp_path: Path) -> None:
    # In UTF-16 and by code points of surrogates, the order would be another one.
    for name in ("z", "Ж", "\U0001f600", "caf\udce9", "B"):
        picture(tmp_path / "set" / f"{name}.png")
    assert names("set") == ("B.png", "caf\udce9.png", "z.png", "Ж.png", "\U0001f600.png")


def test_a_path_that_exists_is_not_a_selection_of_classes(tmp_path: Path) -> None:
    for title in ("a", "b", "c"):
        picture(tmp_path / "trip" / title / "x.png")
        picture(tmp_path / "trip@1-2" / title / "x.png")
    assert len(read("trip@0-1")) == 2
    assert len(read("trip@1-2")) == 3
    assert len(read("trip@1-2/")) == 3
    assert len(read("trip@1-2@0")) == 1
    assert read("trip@1-2").name == "folder:trip@1-2/"
    (tmp_path / "trip@1-2").rename(tmp_path / "moved")
    assert len(read("trip@1-2")) == 2
    with pytest.raises(InputError, match=r"trip@1-2/?: cannot be read as a folder"):
        read("trip@1-2/")
