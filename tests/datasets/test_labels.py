"""Labels that lie in another file than the items."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError, UsageError
from clusterkit.reading import Reading

NAMES = ["a.png", "3", "é/c", "1"]


@pytest.fixture(autouse=True)
def _items() -> None:
    np.savez("items.npz", x=np.eye(4), names=NAMES)
    np.save("plain.npy", np.eye(4))


def read(labels: str, data: str = "features:items.npz") -> Dataset:
    return load_dataset(data, Path(), reading=Reading(labels=Path(labels)))


def written(content: str | bytes, name: str = "l.csv") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("a.png,x\n3,y\né/c,x\n1,\n", [0, 1, 0, -1]),
        ("name,label\r\né/c,x\r\na.png,y\r\n", [1, -1, 0, -1]),
        ("Path,Class\n3,-1\na.png,y\n1, x \n", [1, -1, -1, 0]),
        ('"a.png","x"\n', [0, -1, -1, -1]),
        ("\ufeffa.png,x\n\n3,y", [0, 1, -1, -1]),
    ],
)
def test_a_table_labels_items_by_name(content: str, labels: list[int]) -> None:
    data = read(written(content))
    assert data.labels is not None
    assert data.labels.tolist() == labels
    assert data.union().names == tuple(NAMES)
    assert data.fingerprint == load_dataset("features:items.npz", Path()).fingerprint
    assert read(written(content.replace(",", "\t"), "l.tsv")).labels.tolist() == labels  # type: ignore[union-attr]


def test_a_table_labels_items_by_id() -> None:
    for data in ("features:plain.npy", "features:items.npz"):
        labels = read(written("id,y\n0,7\n2,10\n"), data).labels
        assert labels is not None
        assert labels.tolist() == [0, -1, 1, -1]


def test_files_with_a_label_of_each_item_in_order() -> None:
    np.save("l.npy", np.array([5, 3, -1, 5]))
    np.savez("l.npz", y=np.array([5, 3, -1, 5]), other=1)
    for name in ("l.npy", "l.npz", written("5\n3\n\n5\n", "l.txt"), written("5.0\n3\n-1\n5", "labels")):
        data = read(name)
        assert (data.classes, data.labels.tolist()) == (("3", "5"), [1, 0, -1, 1])  # type: ignore[union-attr]


def test_they_replace_the_labels_of_the_set(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "clusterkit")
    np.savez("items.npz", x=np.eye(4), y=np.arange(4), names=NAMES)
    data = read(written("3,a\n1,b\n"))
    assert (data.classes, data.labels.tolist()) == (("a", "b"), [-1, 0, -1, 1])  # type: ignore[union-attr]
    assert "features:items.npz: the labels are those of l.csv, in place of its own" in caplog.text
    assert read("l.csv", "features:items.npz@1").union().names == ("1",)


@pytest.mark.parametrize("names", [("a.png", "b.png"), ("old/a.png", "other/b.png")])
def test_a_folder_is_labelled_by_path(names: tuple[str, str]) -> None:
    for name in names:
        path = Path("pictures") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    data = read(written(f"{names[1]},x\n{names[0]},y\n"), "folder:pictures")
    assert (data.classes, data.labels.tolist()) == (("x", "y"), [1, 0])  # type: ignore[union-attr]
    assert data.union().names == names


def test_labels_of_files_that_are_not_read_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "clusterkit")
    for number, name in enumerate(("a.png", "deep/b.png")):
        path = Path("pictures") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    Path("pictures/bad.png").write_text("no image")
    reading = Reading(flat=True, skip_bad=True, labels=Path(written("bad.png,x\ndeep/b.png,y\na.png,x\n")))
    data = load_dataset("folder:pictures", Path(), reading=reading)
    assert data.union().names is not None
    assert dict(zip(data.union().names, data.labels.tolist(), strict=True)) == {"a.png": 0, "deep/b.png": 1}  # type: ignore[arg-type, union-attr]
    left = "left out: its file is not read (unreadable or left out)"
    assert f"l.csv: the label in line 1 (bad.png) is {left}" in caplog.text
    written("0,x\n1,y\n2,x\n")
    load_dataset("folder:pictures", Path(), reading=reading)
    assert f"l.csv: the label in line 2 (1) is {left}" in caplog.text
    Path("pictures/z.png").write_text("no image")
    written("0,x\n3,y\n2,x\n")
    load_dataset("folder:pictures", Path(), reading=reading)
    assert f"l.csv: the label in line 2 (3) is {left}" in caplog.text
    written("0,x\n4,y\n2,x\n")
    with pytest.raises(InputError, match=r"l\.csv: line 2: no item has the name '4'"):
        load_dataset("folder:pictures", Path(), reading=reading)
    Path("pictures/second.png").hardlink_to("pictures/a.png")
    written("a.png,x\ndeep/b.png,y\npictures/bad.png,x\nsecond.png,y\n")
    load_dataset("folder:pictures", Path(), reading=reading)
    assert (
        "l.csv: the 2 labels in lines 3 (pictures/bad.png), 4 (second.png) are left out: their files are not read"
    ) in caplog.text
    Image.new("RGB", (8, 8)).save("outside.png")
    for name in ("no.png", "../outside.png", str(Path("outside.png").resolve())):
        written(f"a.png,x\n{name},x\n")
        with pytest.raises(InputError, match=rf"l\.csv: line 2: no item has the name '{re.escape(name)}'"):
            load_dataset("folder:pictures", Path(), reading=reading)


def test_names_that_are_not_utf_8_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = Path(str(folder) + "/caf\udce9.png")
    Image.new("RGB", (8, 8)).save(path)
    Image.new("RGB", (8, 8)).save(folder / "b.png")
    for content in (b"caf\xe9.png,x\nb.png,y\n", b"caf\\xe9.png,x\nb.png,y\n"):
        data = load_dataset(f"folder:{folder}", Path(), reading=Reading(labels=Path(written(content))))
        assert sorted(data.labels.tolist()) == [0, 1]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"line 1: no item has the name 'caf\\xe8\.png'"):
        load_dataset(f"folder:{folder}", Path(), reading=Reading(labels=Path(written(b"caf\xe8.png,x\n"))))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("l.csv", "a.png,x\nnope,y\n", r"line 2: no item has the name 'nope'; correct or remove it"),
        ("l.csv", "file name,x\na.png,y\n", r"line 1: no item has the name 'file name' \(titles are name,label\)"),
        (
            "l.csv",
            "3,x\na.pgn,y\n",
            r"line 2: no item has the name 'a.pgn' \(did you mean a.png\?\); correct or remove it",
        ),
        ("l.csv", "0,x\n7,y\n", r"line 2: no item has the name '7'"),
        ("l.csv", "a.png,x\n3,x\na.png,y\n", "lines 1 and 3 label the same item, a.png; keep one"),
        ("l.csv", "a.png\n", "line 1: 1 fields; write NAME,LABEL"),
        ("l.tsv", "a.png,x\n", "line 1: 1 fields; write NAME TAB LABEL"),
        ("l.csv", "a.png,x,y\n", "line 1: 3 fields"),
        ("l.csv", 'a.png,x\n3,"y\n', "line 2: not a line of a table"),
        ("l.csv", b"a.png,\xff\n", "line 1: the label is not UTF-8"),
        ("l.csv", "", "has no labels; name another file"),
        ("l.csv", "name,label\n", "has no labels"),
        ("l.csv", "a.png,\n", "has no labels"),
        ("l.txt", "x\ny\n", "has 2 lines, and features:items.npz has 4 items; give one label per line"),
        ("l.txt", "", "has 0 lines"),
        ("l.txt", b"\xff\nx\ny\nz\n", "its text is not UTF-8"),
        ("l.parquet", "PAR1", "labels lie in .csv, .tsv, .npy, .npz or text files; write its columns as .csv"),
        ("l.npy", "x", "not a readable .npz or .npy of plain arrays"),
    ],
)
def test_files_that_do_not_fit(name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: [^\n]*{says}[^\n]*$") as caught:
        read(written(content, name))
    assert caught.value.exit_code == 3


def test_arrays_that_do_not_fit() -> None:
    for y, says in ((np.arange(3), r"y has shape \(3,\); expected \(4,\)"), (np.eye(4), "y has shape")):
        np.save("l.npy", y)
        with pytest.raises(InputError, match=rf"^l\.npy: {says}"):
            read("l.npy")
    np.savez("l.npz", x=np.arange(4))
    with pytest.raises(InputError, match=r"^l\.npz: no array y \(it holds x\); write it with numpy\.save\(FILE, y\)"):
        read("l.npz")
    for name in ("no.csv", "no.npy", "no.txt"):
        with pytest.raises(InputError, match=rf"^{name}: no such file"):
            read(name)


def test_a_named_set_keeps_its_own_labels() -> None:
    with pytest.raises(UsageError, match="--labels: data set digits has its own labels; leave it out"):
        read(written("0,x\n"), "digits")
    with pytest.raises(UsageError, match="--labels: data set synthetic:blobs has its own labels"):
        read("l.csv", "synthetic:blobs")
