"""Folders of clusters: nothing is overwritten or lost, whatever fails."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import Assignment
from clusterkit.artifacts.header import Header
from clusterkit.config import Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.errors import InputError, UsageError
from clusterkit.report import folders
from clusterkit.report.folders import Picture, place
from clusterkit.settings import Placing
from clusterkit.stages.report import pictures_of

LATIN = os.fsdecode(b"caf\xe9.png")


def album(root: Path) -> list[Picture]:
    """Six pictures of two albums: two of one name, odd names, and one in no cluster."""
    names = ["a/1.png", "b/1.png", "a/it's $HOME; rm.png", "b/-n.png", f"a/{LATIN}", "b/new\nline.png"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(name))
    clusters = ["000", "000", "000", "001", "001", "unassigned"]
    return [Picture(i, root / name, (cluster,)) for i, (name, cluster) in enumerate(zip(names, clusters, strict=True))]


def tree(root: Path) -> dict[str, bytes | str]:
    """Every file, link and folder below a folder, with its content."""
    return {
        os.fsdecode(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else "folder"
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("by", list(Placing))
def test_each_picture_is_in_the_folder_of_its_cluster(tmp_path: Path, by: Placing) -> None:
    pictures = album(tmp_path / "photos")
    before = tree(tmp_path / "photos")
    undo = place(pictures, tmp_path / "new" / "found", by)
    found = tmp_path / "new" / "found"
    content = {str(path.relative_to(found)): path.read_bytes() for path in found.rglob("*.png")}
    assert content == {
        "000/1.png": b"a/1.png",
        "000/1-1.png": b"b/1.png",
        "000/it's $HOME; rm.png": b"a/it's $HOME; rm.png",
        "001/-n.png": b"b/-n.png",
        f"001/{LATIN}": b"a/caf\xe9.png",
        "unassigned/new\nline.png": b"b/new\nline.png",
    }
    assert all(path.is_symlink() == (by is Placing.LINK) for path in found.rglob("*.png"))
    if by is not Placing.MOVE:
        assert undo is None
        assert tree(tmp_path / "photos") == before
        return
    assert not any((tmp_path / "photos").rglob("*.png"))
    assert undo == found / "undo.sh"
    subprocess.run(["sh", str(undo)], check=True, cwd="/")
    assert tree(tmp_path / "photos") == before
    subprocess.run(["sh", str(undo)], check=True, cwd=tmp_path)
    assert tree(tmp_path / "photos") == before


@pytest.mark.parametrize("by", list(Placing))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_halfway_is_undone(
    tmp_path: Path, by: Placing, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = album(tmp_path / "photos")
    before = tree(tmp_path)
    real, calls = folders.PLACE[by], []

    def fails(file: Path, target: Path) -> None:
        calls.append(file)
        if len(calls) == 4:
            target.write_bytes(b"a part")
            raise error
        real(file, target)

    monkeypatch.setitem(folders.PLACE, by, fails)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        place(pictures, tmp_path / "new" / "found", by)
    assert tree(tmp_path) == before
    if isinstance(error, OSError):
        assert "No space left on device; nothing was changed" in str(caught.value)


@pytest.mark.parametrize("by", [Placing.COPY, Placing.MOVE])
def test_no_half_copy_has_the_name_of_a_picture(tmp_path: Path, by: Placing, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill at the worst moments leaves, where moves go to another disk."""
    pictures = album(tmp_path / "photos")
    real, found, copied = shutil.copy2, tmp_path / "found", []

    def other_disk(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def watched(file: Path, target: Path) -> None:
        Path(target).write_bytes(b"a")
        contents = {path.read_bytes() for path in found.rglob("*.png")}
        assert contents <= {os.fsencode(picture.file.relative_to(tmp_path / "photos")) for picture in pictures}
        assert all(picture.file.exists() for picture in pictures[len(copied) :])
        copied.append(file)
        real(file, target)

    monkeypatch.setattr(Path, "rename", other_disk)
    monkeypatch.setattr(shutil, "copy2", watched)
    place(pictures, found, by)
    assert len(copied) == len(pictures)
    assert not list(found.rglob(".part"))
    assert all(picture.file.exists() == (by is Placing.COPY) for picture in pictures)


def test_a_move_never_loses_a_picture_whose_way_back_is_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = album(tmp_path / "photos")
    real, calls = shutil.move, []

    def fails(file: Path, target: Path) -> None:
        calls.append(file)
        if len(calls) == 3:
            shutil.rmtree(tmp_path / "photos" / "b")
            (tmp_path / "photos" / "b").write_text("in the way")
            raise OSError(5, "Input/output error")
        real(file, target)

    monkeypatch.setitem(folders.PLACE, Placing.MOVE, fails)
    with pytest.raises(InputError, match=r"could not be restored, such as .*1-1\.png"):
        place(pictures[:4], tmp_path / "found", Placing.MOVE)
    assert (tmp_path / "found" / "000" / "1-1.png").read_bytes() == b"b/1.png"
    assert (tmp_path / "photos" / "a" / "1.png").read_bytes() == b"a/1.png"


def test_a_picture_whose_place_is_taken_is_named_and_the_others_go_back(tmp_path: Path) -> None:
    pictures = album(tmp_path / "photos")
    place(pictures, tmp_path / "found", Placing.MOVE)
    (tmp_path / "photos" / "a" / "1.png").write_text("new")
    (tmp_path / "photos" / "b" / "-n.png").mkdir()
    (tmp_path / "found" / "unassigned" / "new\nline.png").unlink()
    (tmp_path / "other" / "found").mkdir(parents=True)
    paths = {**os.environ, "CDPATH": str(tmp_path / "other")}
    done = subprocess.run(["sh", "found/undo.sh"], cwd=tmp_path, env=paths, capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        "../photos/a/1.png: exists, not moved back\n../photos/b/-n.png: exists, not moved back\n"
        "./unassigned/new\nline.png: missing, not moved back\n"
    )
    assert (tmp_path / "photos" / "a" / "1.png").read_text() == "new"
    assert (tmp_path / "photos" / "b" / "1.png").read_bytes() == b"b/1.png"
    assert (tmp_path / "found" / "000" / "1.png").read_bytes() == b"a/1.png"


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    pictures = album(tmp_path / "photos")
    (tmp_path / "found").mkdir()
    place(pictures[:1], tmp_path / "found", Placing.COPY)
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        place(pictures, tmp_path / "found", Placing.COPY)
    with pytest.raises(UsageError, match="not an empty folder"):
        place(pictures, tmp_path / "photos" / "a" / "1.png", Placing.COPY)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match="not an empty folder"):
        place(pictures, tmp_path / "dangling", Placing.COPY)
    (tmp_path / "dangling").unlink()
    assert tree(tmp_path) == before


def test_folders_among_the_pictures_are_refused(tmp_path: Path) -> None:
    pictures = album(tmp_path / "photos")
    before = tree(tmp_path)
    for name in ("photos/a/found", "photos/a/deep/found", "photos/b/../a/found"):
        with pytest.raises(UsageError, match="lies among the pictures"):
            place(pictures, tmp_path / name, Placing.MOVE)
    with pytest.raises(UsageError, match="lies among the pictures"):
        place(pictures, tmp_path / "photos" / "found", Placing.COPY, tmp_path / "photos")
    assert tree(tmp_path) == before


def test_pictures_that_cannot_be_placed_are_named_before_anything_happens(tmp_path: Path) -> None:
    pictures = album(tmp_path / "photos")
    with pytest.raises(UsageError, match="no item of this set is an image file"):
        place([], tmp_path / "found", Placing.COPY)
    with pytest.raises(InputError, match=r"1\.png: belongs to two items"):
        place([pictures[0], *pictures], tmp_path / "found", Placing.MOVE)
    (tmp_path / "photos" / "b" / "1.png").unlink()
    (tmp_path / "photos" / "b" / "1.png").symlink_to("../a/1.png")
    with pytest.raises(InputError, match=r"b/1\.png: is a link; use --by copy or link"):
        place(pictures, tmp_path / "found", Placing.MOVE)
    for picture in pictures[:5]:
        picture.file.unlink()
    with pytest.raises(InputError, match=r"a/1\.png, .* and 2 more: no such file"):
        place(pictures, tmp_path / "found", Placing.COPY)
    assert not (tmp_path / "found").exists()


def test_a_copy_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = album(tmp_path / "photos")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match=r"take 0.066 kB, but only 0.001 kB are free; use --by link"):
        place(pictures, tmp_path / "found", Placing.COPY)
    place(pictures, tmp_path / "found", Placing.LINK)


@pytest.mark.parametrize(
    ("name", "folder"), [("ape", "ape"), ("Angelic/01", "Angelic_01"), ("..", "_."), (".x", "_x"), ("", "_")]
)
def test_a_class_name_is_one_folder(name: str, folder: str) -> None:
    assert folders.safe(name) == folder


def test_each_name_has_a_folder_of_its_own() -> None:
    names = ["a/b", "a_b", "A_B", "a_b-2", "unassigned", "unassigned"]
    assert folders.distinct(names) == ["a_b", "a_b-2", "A_B-3", "a_b-2-2", "unassigned", "unassigned-2"]


def test_pictures_without_a_cluster_are_in_no_folder_of_a_class(tmp_path: Path) -> None:
    files = tuple(tmp_path / f"{number}.png" for number in range(3))
    items = Subset("all", torch.zeros(3, 1, 8, 8), torch.arange(3), None, files=files)
    data = Dataset("folder:x", Kind.PHOTOS, (items,), (), "", 8)
    groups = {"all": Assignment(np.arange(3), np.array([-1, 0, 1], np.int32), np.zeros((3, 2), np.float32))}
    for classes, expected in (
        (None, [("unassigned",), ("000",), ("001",)]),
        (["unassigned", "Unassigned"], [("unassigned-3",), ("unassigned",), ("Unassigned-2",)]),
    ):
        header = Header(
            "assignments", "assign", {}, 0, "cpu", {"name": "digits", "fingerprint": "f"}, {}, {"classes": classes}
        )
        assert [picture.folders for picture in pictures_of(data, groups, header)] == expected
