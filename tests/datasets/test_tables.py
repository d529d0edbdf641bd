"""Tables of vectors: .csv, .tsv and .parquet."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from clusterkit.datasets import tables
from clusterkit.datasets.base import Dataset
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import InputError

X = np.random.default_rng(0).normal(size=(5, 3)) + 1e9
FRAME = pd.DataFrame(X, columns=["u", "v", "w"])


def read(path: str) -> Dataset:
    return load_dataset(f"features:{path}", Path())


def text(content: str | bytes, name: str = "t.csv") -> Dataset:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(name)


def write(frame: pd.DataFrame, name: str, **more: Any) -> None:
    if name.endswith("parquet"):
        frame.to_parquet(name, **more)
    else:
        frame.to_csv(name, sep="\t" if name.endswith("tsv") else ",", **more)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_columns_of_numbers_are_the_values_and_others_the_names_and_labels(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "clusterkit")
    frame = FRAME.assign(Path=["a", "b,c", "é", "NA", "007"], CLASS=["10", "2", "", "2", "-1"])
    write(frame[["u", "Path", "v", "CLASS", "w"]], name, index=False)
    data = read(name)
    assert data.union().names == ("a", "b,c", "é", "NA", "007")
    assert (data.classes, data.labels.tolist()) == (("2", "10"), [1, 0, -1, 0, -1])
    assert torch.equal(data.union().images, torch.from_numpy(X))
    assert (
        f"{name}: 3 columns ('u', 'v', 'w') hold the values, 'Path' holds the names, 'CLASS' holds the labels"
    ) in caplog.text
    assert "2 of 5 items are unlabelled" in caplog.text


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_index_of_a_frame_names_the_items(name: str) -> None:
    write(FRAME.set_axis(list("abcde")), name)
    assert read(name).union().names == tuple("abcde")
    write(FRAME.set_axis(pd.Index([5, 6, 7, 8, 9], name="id")), name)
    assert read(name).union().names == tuple("56789")
    write(pd.DataFrame(X), name, index=False)
    data = read(name)
    assert (data.union().names, torch.equal(data.union().images, torch.from_numpy(X))) == (None, True)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_an_index_that_only_numbers_the_rows_is_left_out_beside_names(name: str) -> None:
    named = FRAME.assign(file=list("abcde"))
    write(named.set_axis(pd.Index(range(5), dtype="int64")), name)
    data = read(name)
    assert (data.union().names, torch.equal(data.union().images, torch.from_numpy(X))) == (tuple("abcde"), True)
    write(named.set_axis(pd.Index([0, 1, 2, 4, 3])), name)
    with pytest.raises(
        InputError, match=r"the columns '\(no title\)' and 'file' could|the columns 'file' and '\(no title"
    ):
        read(name)


def test_a_tsv_with_commas_is_said_to_have_them() -> None:
    with pytest.raises(InputError, match=r"^t\.tsv: its columns are separated by commas; separate them by tabs$"):
        text("a,b\n1,2\n", "t.tsv")


def test_the_type_of_columns_is_kept() -> None:
    narrow = FRAME.astype("float32").assign(b=[True, False] * 2 + [True], s=np.arange(5, dtype=np.int16))
    narrow.to_parquet("t.parquet")
    images = read("t.parquet").union().images
    assert images.dtype == torch.float32
    np.testing.assert_array_equal(images.numpy(), narrow.to_numpy(np.float32))
    narrow.assign(b=narrow.b.astype("Int64")).to_parquet("t.parquet")
    assert read("t.parquet").union().images.dtype == torch.float64


@pytest.mark.parametrize(
    ("words", "classes", "labels"),
    [
        (["1.0", "", "0.0", "1"], ("0", "1"), [1, -1, 0, 1]),
        (["01", "1", "-1", "x"], ("01", "1", "x"), [0, 1, -1, 2]),
        (["10", "9", "9.5", "-3"], ("-3", "9", "9.5", "10"), [3, 1, 2, 0]),
        (["-1", "", "-1.0", "-1"], (), None),
        ([" cat", "cat ", "dog", ""], ("cat", "dog"), [0, 0, 1, -1]),
    ],
)
def test_labels_are_text_or_numbers(words: list[str], classes: tuple[str, ...], labels: list[int] | None) -> None:
    data = text("a,b,label\n" + "".join(f"1,{n},{word}\n" for n, word in enumerate(words)))
    assert (data.classes, None if data.labels is None else data.labels.tolist()) == (classes, labels)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a readable .csv table"),
        ("\n\n", "not a readable .csv table"),
        ("a,b\n", "has no rows; write one line per item"),
        ("name,label\nx,1\n", "has no columns of numbers; write one line per item"),
        ("a,b\n1,2\n3\n", "row 2, column 'b' is empty; fill it, or leave out the row or the column"),
        ("a,b\n1,2\n3, \n", "row 2, column 'b' is empty"),
        ('a,b\n1,2\n3,"2,5"\n', "row 2, column 'b' is '2,5'; write numbers without commas, as 1.5"),
        ('a,b\n1,"1,5"\n3,"2,5"\n', "row 1, column 'b' is '1,5'; write numbers without"),
        ("a,b\n1,2\n3,4,5\n", "not a readable .csv table .*Expected 2 fields in line 3, saw 3"),
        ("a,b\n1,2,3\n4,5,6\n", "not a readable .csv table"),
        ("a,b\n1,nan\n3,4\n", "row 1, column 'b' is 'nan', not a number; correct it, or leave out the row"),
        ("a,b\n1,2\n3,4x\n", "row 2, column 'b' is '4x', not a number"),
        ("a,b\n1,2\n3,inf\n", r"x has 1 infinite or too large values, the first at row 2, column 'b'"),
        ("a,b\n1,2\n3,1e400\n", r"x has 1 infinite or too large values, the first at row 2, column 'b'"),
        ("a,b\n1,2\n3,1e300\n", r"x has values beyond 3e\+38; scale it"),
        (f"a,b\n1,2\n3,{2**53 + 1}\n", r"the column 'b' has integers beyond 9e\+15"),
        ("a,species\n1,cat\n3,dog\n", r"the column 'species' holds no numbers; leave it out, or call it 'name'"),
        ("a,name,file\n1,x,y\n", "the columns 'name' and 'file' could each hold the names; leave out or rename"),
        (",name,a\n1,x,1\n", r"the columns '\(no title\)' and 'name' could each hold the names"),
        ("a,label,class\n1,x,y\n", "the columns 'label' and 'class' could each hold the labels"),
        ("x,y\n1,2\n", "the column 'y' could be a coordinate or the labels"),
        ("a,a\n1,2\n", "two columns are called 'a'; rename one of them"),
        ("1.5,2\n3,4\n", "the first line holds numbers; put a line with the titles"),
        ("0,0,1\n0,1,1\n", "the first line holds numbers"),
        ("a,b,c,d,e\n1,p,q,r,s\n", r"4 columns \('b', 'c', 'd', …\) hold no numbers; leave them out, or"),
        ("a;b\n1;2\n", "its columns are separated by semicolons; separate them by commas$"),
        ("name;a\nx;1,5\n", "separated by semicolons; separate them by commas, and write decimals with a point"),
        ("a\tb\n1\t2\n", "separated by tabs; separate them by commas$"),
        ("i.png,1.5,2\nj.png,3,4\n", "'i.png' holds no numbers; if the first line is data, put a line with the titles"),
        (
            "i.png,0,0\nj.png,0,1\n",
            "the first line holds '0' twice, so it seems to be data; put a line with the titles",
        ),
        ("name,0,0\nj.png,0,1\n", "two columns are called '0'; rename one of them"),
        ("name,a\nx,1\nx,2\n", "items 0 and 1 have the same name, x; rename one"),
        ("name,a\nx,1\n,2\n", "item 1 has no name"),
        (b"name,a\n\xff,1\n", "its text is not UTF-8; save it as UTF-8"),
        ('a,b\n"1,2\n3,4\n', "not a readable .csv table"),
    ],
)
def test_tables_that_cannot_be_used(content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=rf"^t\.csv: [^\n]*{says}[^\n]*$") as caught:
        text(content)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (FRAME.assign(v=[1, 2, np.nan, 4, 5]), "x has 1 NaN or infinite values, the first at row 3, column 'v'"),
        (FRAME.assign(v=[[1], [2], [3], [4], [5]]), r"the column 'v' holds no numbers"),
        (FRAME.assign(v=pd.date_range("2020-01-01", periods=5)), r"the column 'v' holds no numbers"),
        (FRAME.assign(v=["1", "2", "3", None, "5"]), "row 4, column 'v' is empty; fill it"),
        (FRAME.assign(name=["a", "b", None, "d", "e"]), "item 2 has no name"),
        (FRAME.iloc[:0], "has no rows"),
    ],
)
def test_parquet_tables_that_cannot_be_used(frame: pd.DataFrame, says: str) -> None:
    frame.to_parquet("t.parquet")
    with pytest.raises(InputError, match=rf"^t\.parquet: [^\n]*{says}[^\n]*$"):
        read("t.parquet")


def test_damaged_and_missing_tables() -> None:
    FRAME.to_parquet("t.parquet")
    whole = Path("t.parquet").read_bytes()
    Path("cut.parquet").write_bytes(whole[:-20])
    Path("empty.parquet").touch()
    Path("folder.csv").mkdir()
    words = {
        "cut.parquet": "not a readable .parquet table", "empty.parquet": "not a readable .parquet table",
        "folder.csv": r"cannot be read \(Is a directory\)", "no.csv": "no such file", "no.parquet": "no such file",
    }  # fmt: skip
    for name, reason in words.items():
        with pytest.raises(InputError, match=rf"^{name}: {reason}[^\n]*$"):
            tables.read(Path(name))


@pytest.mark.parametrize(("name", "package"), [("t.csv", "pandas"), ("t.parquet", "pandas"), ("t.parquet", "pyarrow")])
def test_missing_packages_are_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(FRAME, name, index=False)
    real = builtins.__import__

    def without(title: str, *more: Any) -> Any:
        if title.split(".")[0] == package:
            raise ImportError(title)
        return real(title, *more)

    if package == "pyarrow":
        monkeypatch.setattr(pd, "read_parquet", lambda path: without("pyarrow"))
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=rf"^{name}: .* not installed; run: pip install pandas pyarrow$"):
        read(name)
