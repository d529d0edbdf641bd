"""The file of a user's links."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.errors import InputError
from clusterkit.pairs.links import Link
from clusterkit.pairs.read_links import read_links

NAMES = ("a.jpg", "b.jpg", "sub/c.jpg", "d,e.jpg", "3", "caf\udce9.png")


def items(names: tuple[str, ...] | None = None, start: int = 0, title: str = "all", count: int = 6) -> Subset:
    files = None if names is None else tuple(Path("pictures") / name for name in names)
    return Subset(title, torch.zeros(count, 2), torch.arange(start, start + count), None, names, files)


def data(*subsets: Subset) -> Dataset:
    return Dataset("mine", Kind.PHOTOS, subsets or (items(),), (), "", 2)


def read(text: str | bytes, of: Dataset) -> dict[str, list[Link]]:
    Path("links.csv").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return read_links(Path("links.csv"), of)


@pytest.mark.parametrize("start", ["", "id_a,id_b,constraint\n", "\ufeffid_a,id_b,constraint\r\n", "one,other,kind\n"])
def test_a_file_is_read_with_or_without_a_header(start: str) -> None:
    first = 2 if start else 1
    found = read(start + "5,3,must\n\n 3 , 4 , Cannot-Link\n3,5,must\n0,1,must-link\n", data())
    assert found == {"all": [Link(5, 3, True, first), Link(3, 4, False, first + 2), Link(0, 1, True, first + 4)]}, (
        "a repeated link counts once"
    )


def test_items_are_named_by_name_path_or_id(tmp_path: Path) -> None:
    named = data(items(NAMES))
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    (tmp_path / "pictures" / "sub" / "c.jpg").touch()
    lines = [
        "a.jpg,b.jpg,must",
        f"pictures/sub/c.jpg,{tmp_path / 'pictures' / 'sub' / '..' / 'sub' / 'c.jpg'}x,cannot",
        '"d,e.jpg",sub/c.jpg,cannot',
        "caf\\xe9.png,1,must",
        "caf\udce9.png,0,cannot",
    ]
    with pytest.raises(InputError, match=r"line 2: no item .*c\.jpgx in mine"):
        read("\n".join(lines), named)
    lines[1] = "./pictures/sub/c.jpg,0,cannot"
    places = [(link.a, link.b) for link in read("\n".join(lines[:4]), named)["all"]]
    assert places == [(0, 1), (2, 0), (3, 2), (5, 1)]
    assert read(lines[4], named)["all"] == [Link(5, 0, False, 1)]


def test_a_name_wins_over_an_id_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "clusterkit"):
        assert read("3,0,must\n3,1,must\n", data(items(NAMES)))["all"][0] == Link(4, 0, True, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "links.csv, line 1: 3 is the name of one item and the id of another; it is read as the name"
    ]


def test_links_belong_to_their_subsets() -> None:
    two = data(items(None, 0, "one"), items(None, 10, "two"))
    assert read("11,12,must\n0,5,cannot\n", two) == {"one": [Link(0, 5, False, 2)], "two": [Link(1, 2, True, 1)]}
    with pytest.raises(InputError, match=r"line 2: 5 and 11 are in different subsets, each clustered alone; remove"):
        read("0,1,must\n5,11,must\n", two)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n", "line 1: '1,2' is not ITEM,ITEM,must|cannot; write two items and a word, as in 0,17,must"),
        ("1,2,must,3\n", "line 1"),
        ("1;2;must\n", "line 1: '1;2;must' is not"),
        ("1,2,maybe\n", "line 1: '1,2,maybe' is not"),
        ("a.jpg,x,mst\n", "line 1: 'a.jpg,x,mst' is not"),
        ("1,2,must\n1,3,maybe\n", "line 2: '1,3,maybe' is not"),
        ("a.jgp,2,must\n", "line 1: no item a.jgp in mine (did you mean a.jpg?); correct the name or remove the line"),
        ("zzz,2,must\n", "line 1: no item zzz in mine; name items by their names or ids (0 to 5), or remove the line"),
        ("1,-2,must\n", "line 1: no item -2"),
        ("1,6,must\n", "line 1: no item 6 in mine"),
        ("1,2.0,must\n", "line 1: no item 2.0"),
        ("1,2,must\nid_a,id_b,constraint\n", "line 2"),
        ("4,4,cannot\n", "line 1: pairs item caf"),
        ("0,a.jpg,cannot\n", "line 1: pairs item a.jpg with itself; name two items"),
        ("twice,0,must\n", "line 1: 2 items of mine are called twice; write ids"),
        ('"1\n",2,must\n\n1,6,must\n', "line 4: no item 6 in mine"),
        ('0,1,must\n"two\nlines",0,must\n', "line 2: no item two"),
        ("", "no constraints in it; write lines of ITEM,ITEM,must|cannot"),
        ("id_a,id_b,constraint\n", "no constraints in it"),
        (b"\xff\xfe1\x00,\x002\x00", "not a readable CSV"),
        (
            "h,h,h\n0,b.jpg,must\n1,2,must\na.jpg,4,cannot\n2,sub/c.jpg,must\n\nsub/c.jpg,0,cannot\n",
            "pairs item sub/c.jpg with itself",
        ),
        (
            "h,h,h\n0,b.jpg,must\n1,2,must\na.jpg,4,cannot\nsub/c.jpg,0,cannot\n",
            "links.csv: line 5 says that sub/c.jpg and a.jpg cannot be together, but lines 3 and 2 tie them "
            "(sub/c.jpg - b.jpg - a.jpg); remove one of these lines",
        ),
        (
            "0,1,must\n1,0,cannot\n",
            "line 2 says that b.jpg and a.jpg cannot be together, but line 1 ties them (",
        ),
    ],
)
def test_a_bad_line_is_named(text: str | bytes, message: str) -> None:
    named = items((*NAMES[:4], "twice", "twice") if "twice" in str(text) else (*NAMES[:4], "caf\udce9.png", "f.jpg"))
    with pytest.raises(InputError) as error:
        read(text, data(named))
    assert str(error.value).startswith("links.csv")
    assert message in str(error.value)


def test_names_with_spaces_at_their_ends_are_read_as_they_are_or_else_without_the_spaces() -> None:
    named = data(items((" a.jpg", "a.jpg", "b.jpg ", "c.jpg", "d.jpg", "e.jpg")))
    text = " a.jpg,b.jpg ,must\na.jpg , c.jpg, must\n"
    assert read(text, named) == {"all": [Link(0, 2, True, 1), Link(1, 3, True, 2)]}


def test_a_file_of_the_folder_that_is_not_read_is_said_to_be_one(tmp_path: Path) -> None:
    for name in ("a.jpg", "ab.jpg", "unread.jpg"):
        (tmp_path / "pictures" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pictures" / name).touch()
    (tmp_path / "b.jpg").touch()
    part = replace(items(NAMES), ids=torch.tensor([0, 1, 2, 3, 4, 7]))
    for text in ("ab.jpg", "unread.jpg", "pictures/unread.jpg", str(tmp_path / "pictures" / "unread.jpg")):
        with pytest.raises(InputError) as error:
            read(f"a.jpg,{text},must\n", data(part))
        assert f"line 1: {text} is a file that is not read (unreadable or left out); mend the" in str(error.value)
    with pytest.raises(
        InputError, match=r"line 1: no item has the id 6: its file is not read \(unreadable or left out\)"
    ):
        read("1,6,must\n", data(part))
    for text in ("8", "9" * 5000, "../b.jpg", "sub"):
        with pytest.raises(InputError, match="line 1: no item "):
            read(f"1,{text},must\n", data(part))
    with pytest.raises(InputError, match=r"line 1: no item 6 in mine; name items by their ids \(0 to 7\)"):
        read("1,6,must\n", data(replace(part, names=None, files=None)))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv: no such file; --constraints takes a CSV"):
        read_links(tmp_path / "absent.csv", data())
    with pytest.raises(InputError, match="not a readable CSV"):
        read_links(tmp_path, data())


def test_links_by_name_stay_true_in_a_folder_that_has_grown() -> None:
    lines = "b.jpg,sub/c.jpg,must\na.jpg,b.jpg,cannot\n"
    before = data(items(NAMES))
    grown = items(("0.jpg", *NAMES), count=7)
    for of in (before, replace(before, subsets=(grown,))):
        [subset] = of.subsets
        links = read(lines, of)["all"]
        assert [(subset.title(link.a), subset.title(link.b), link.must) for link in links] == [
            ("b.jpg", "sub/c.jpg", True),
            ("a.jpg", "b.jpg", False),
        ]
