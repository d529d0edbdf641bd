"""Labels of some items of the target: the links that follow, the names of clusters, and files that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.config import Kind
from clusterkit.datasets.base import Dataset, Subset
from clusterkit.errors import InputError
from clusterkit.pairs.examples import Examples, read_examples
from clusterkit.pairs.links import Link
from clusterkit.pairs.user_links import read_user_links

KNOWN = Examples({0: "dog", 4: "cat", 2: "dog", 5: "dog"}, {0: 1, 4: 2, 2: 3, 5: 4})


def data(count: int = 6) -> Dataset:
    names = tuple(f"{number}.png" for number in range(count))
    subset = Subset("all", torch.zeros(count, 2), torch.arange(count), None, names)
    return Dataset("folder:x", Kind.VECTORS, (subset,), (), "", 0)


def test_examples_of_one_label_belong_together_and_of_two_apart() -> None:
    assert KNOWN.links() == [Link(0, 2, True, 1, 3), Link(0, 5, True, 1, 4), Link(4, 0, False, 2, 1)]


def test_a_cluster_has_the_label_of_most_of_its_examples() -> None:
    cluster = np.array([1, 0, 1, 0, 3, 3])
    assert KNOWN.names(cluster, 4) == [None, "dog", None, "cat"]
    assert KNOWN.doubts("all", cluster) == [
        "cluster all: examples of one label are in several clusters: dog",
        "cluster all: examples of several labels are in one cluster: cat and dog",
    ]
    held = np.array([1, 0, 1, 0, 3, 1])
    assert KNOWN.names(held, 4) == [None, "dog", None, "cat"]
    assert KNOWN.doubts("all", held) == []
    assert KNOWN.names(np.full(6, -1), 2) == [None, None]


def test_a_table_of_names_or_ids_is_read(tmp_path: Path) -> None:
    file = tmp_path / "known.csv"
    for text in ("path,label\n4.png,cat\n0.png,dog\n1.png,\n", "4,cat\n0,dog\n"):
        file.write_text(text)
        examples = read_examples(file, data())
        assert examples["all"].labels == {4: "cat", 0: "dog"}
    tabs = tmp_path / "known.tsv"
    tabs.write_text("4.png\tcat\n")
    assert read_examples(tabs, data())["all"].by_label == {"cat": [4]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no labels; write lines of NAME,LABEL"),
        ("path,label\n", "has no labels"),
        ("0.png\n", "line 1: 1 fields; write NAME,LABEL"),
        ("0.png,dog\n7.png,cat\n", "line 2: no item has the name '7.png'"),
        ("0.png,dog\n0.png,cat\n", "lines 1 and 2 label the same item, 0.png; keep one"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "known.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_examples(file, data())
    assert str(caught.value).startswith(str(file))
    assert reason in str(caught.value)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "known.txt").write_text("0.png,dog\n")
    (tmp_path / "bytes.csv").write_bytes(b"\0\xff\xfe,\0\n")
    for name in ("folder.csv", "known.txt", "bytes.csv", "missing.csv"):
        with pytest.raises(InputError, match=name):
            read_examples(tmp_path / name, data())


def test_examples_join_the_constraints_and_contradictions_name_both_files(tmp_path: Path) -> None:
    examples, constraints = tmp_path / "known.csv", tmp_path / "links.csv"
    examples.write_text("0.png,dog\n1.png,dog\n2.png,cat\n")
    constraints.write_text("2.png,3.png,must\n")
    known = read_user_links(constraints, examples, data())
    closure = known.closure(data().subsets[0])
    assert closure.group[0] == closure.group[1]
    assert closure.group[2] == closure.group[3] != closure.group[0]
    assert len(closure.apart) == known.fewest("all") - 1 == 1
    assert set(known.hashes) == {"constraints", "examples"}

    constraints.write_text("3.png,4.png,must\n0.png,1.png,cannot\n")
    with pytest.raises(InputError) as caught:
        read_user_links(constraints, examples, data())
    assert str(caught.value) == (
        f"{constraints}: line 2 says that 0.png and 1.png cannot be together, but lines 1 and 2 of {examples} tie them "
        "(0.png - 1.png); remove one of these lines"
    )
    constraints.write_text("1.png,2.png,must\n")
    with pytest.raises(InputError) as caught:
        read_user_links(constraints, examples, data())
    assert str(caught.value) == (
        f"{examples}: lines 3 and 1 say that 2.png and 0.png cannot be together, but lines 1 and 2 and line 1 of "
        f"{constraints} tie them (2.png - 1.png - 0.png); remove one of these lines"
    )
