import os
from pathlib import Path

import numpy as np
import pytest
from samples import header, names_in, tensors

from clusterkit.artifacts.assignments import Assignment, write_with_network
from clusterkit.artifacts.files import together
from clusterkit.config import Context
from clusterkit.errors import InputError
from clusterkit.metrics.rows import Row
from clusterkit.studies.common import driver
from clusterkit.studies.common.tables import Table

NAMES = ("one", "two", "three")


def fail_at(number: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one renaming fail, counted from 0."""
    rename, calls = Path.replace, iter(range(99))

    def replace(self: Path, target: Path) -> Path:
        if next(calls) == number:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def write(*paths: Path) -> None:
    with together(*paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("there", [(), NAMES, NAMES[:1], NAMES[1:]])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_files_are_replaced_all_or_none(
    number: int, there: tuple[str, ...], links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in there:
        (tmp_path / name).write_text(f"old {name}")
    fail_at(number, FULL, monkeypatch)
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "no links on this disk")))

    paths = [tmp_path / name for name in NAMES]
    with pytest.raises(InputError, match=rf"/{NAMES[number]}: cannot be written \(No space left on device\)"):
        write(*paths)
    assert {name: (tmp_path / name).read_text() for name in names_in(tmp_path)} == {
        name: f"old {name}" for name in there
    }
    write(*paths)
    assert {name: (tmp_path / name).read_text() for name in names_in(tmp_path)} == dict.fromkeys(NAMES, "new")


def test_an_interruption_between_two_renamings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_text("old")
    fail_at(1, KeyboardInterrupt(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one").read_text() == "old"
    assert names_in(tmp_path) == ["one"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("number", [0, 1])
def test_assignments_and_their_network_are_both_or_neither(
    number: int, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = tmp_path / "assignments.h5", tmp_path / "ccn.safetensors"
    for path in paths if there else ():
        path.write_text("old")
    fail_at(number, FULL, monkeypatch)
    one = Assignment(np.arange(2), np.zeros(2, np.int32), np.ones((2, 1), np.float32))
    made = header("assignments", "cluster"), header("ccn", "cluster")
    with pytest.raises(InputError, match="cannot be written"):
        write_with_network(paths[0], made[0], {"all": one}, paths[1], made[1], tensors())
    assert names_in(tmp_path) == ([path.name for path in paths] if there else [])
    assert not there or [path.read_text() for path in paths] == ["old", "old"]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_files_of_a_study_are_all_or_none(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, parts = Context(workdir=tmp_path), [Table(["x"], [["1"]])]
    rows = [Row(set="letters", metric="acc", value=0.5)]
    driver.write("study", driver.Outcome(rows), {}, parts, context, with_latex=True)
    before = {name: (tmp_path / name).read_text() for name in names_in(tmp_path)}
    assert list(before) == ["results.csv", "study.json", "study.md", "study.tex"]
    fail_at(number, FULL, monkeypatch)
    with pytest.raises(InputError, match="cannot be written"):
        driver.write("study", driver.Outcome(rows * 2), {}, parts * 2, context, with_latex=True)
    assert {name: (tmp_path / name).read_text() for name in names_in(tmp_path)} == before
