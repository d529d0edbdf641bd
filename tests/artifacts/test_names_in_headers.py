from pathlib import Path

import pytest

from clusterkit.artifacts.lineage import run_key
from clusterkit.artifacts.own_data import found, stored


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, a project with data and work below it; the home folder is the one above."""
    (tmp_path / "project" / "out").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "project"


def test_in_a_file_paths_start_from_its_folder(here: Path) -> None:
    for typed, expected in (
        ("folder:photos", "folder:../photos"),
        (f"folder:{here}/photos", "folder:../photos"),
        ("folder:./x/../photos/@0-4", "folder:../photos@0-4"),
        ("folder:~/project/photos@0,2", "folder:../photos@0,2"),
        ("arrays:out/a.npz", "arrays:a.npz"),
        ("arrays:out/~a.npz", "arrays:./~a.npz"),
        ("arrays:../b:c@2x.npz", "arrays:../../b:c@2x.npz"),
        ("folder:.@0-4", "folder:..@0-4"),
        ("features:./a.csv", "features:../a.csv"),
        ("labels:~/project/truth.csv", "labels:../truth.csv"),
        ("weights:~/project/w.safetensors", "weights:../w.safetensors"),
    ):
        assert stored(typed, Path("out")) == expected
        assert stored(found(typed, Path()), here / "out") == expected


def test_in_memory_names_can_be_typed_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, expected in (
        ("folder:../photos", "folder:photos"),
        ("folder:..", "folder:."),
        ("folder:../../photos@0-4", f"folder:{here.parent}/photos@0-4"),
        ("arrays:./~a.npz", "arrays:out/~a.npz"),
        ("arrays:../~a.npz", f"arrays:{here}/~a.npz"),
    ):
        assert found(name, Path("out")) == found(name, here / "out") == expected
    monkeypatch.chdir("out")
    assert found("folder:../photos", Path()) == f"folder:{here}/photos"
    assert found("arrays:./~a.npz", Path()) == f"arrays:{here}/out/~a.npz"


def test_a_path_that_ends_like_a_selection_of_classes_stays_a_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "trip@0-4").mkdir()
    for typed, in_file, in_memory in (
        ("folder:trip@0-4", "folder:../trip@0-4/", "folder:trip@0-4/"),
        ("folder:trip@0-4@1", "folder:../trip@0-4@1", "folder:trip@0-4@1"),
        ("folder:trip@0-4/x@2", "folder:../trip@0-4/x@2", "folder:trip@0-4/x@2"),
        (f"folder:{here}/trip@0-4/", "folder:../trip@0-4/", "folder:trip@0-4/"),
    ):
        assert stored(typed, Path("out")) == in_file
        assert found(in_file, here / "out") == in_memory
        assert stored(in_memory, Path("out")) == in_file
    assert run_key("folder:trip@0-4") == run_key(f"folder:{here}/trip@0-4/") != run_key("folder:trip@0-5")
    monkeypatch.chdir("out")
    assert found("folder:../trip@0-4/", here / "out") == f"folder:{here}/trip@0-4/"
    assert run_key("folder:../trip@0-4") == run_key(f"folder:{here}/trip@0-4/")
    (here / "trip@0-4").rmdir()
    assert found("folder:../trip@0-4/", here / "out") == f"folder:{here}/trip@0-4/"
    assert stored("folder:../trip@0-4", Path()) == "folder:../trip@0-4"


def test_nothing_else_is_renamed(here: Path) -> None:
    value = {
        "name": "omniglot_eval/Angelic@0-4", "shape": "synthetic:moons", "size": 3, "none": None, "empty": "folder:",
        "classes": ["folder:x", "arrays:y"], "text": "a folder:x",
    }  # fmt: skip
    assert stored(value, here / "out") == found(value, here / "out") == value
    assert stored({"a": {"b": "folder:x"}}, here) == {"a": {"b": "folder:x"}}
    assert stored({"a": {"b": "folder:x"}}, here / "out") == {"a": {"b": "folder:../x"}}
    assert stored({"a": [{"b": "folder:x"}]}, here / "out") == {"a": [{"b": "folder:../x"}]}


def test_a_run_is_the_same_however_its_data_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = run_key("train-g", {"dataset": "folder:photos"}, 0)
    assert run_key("train-g", {"dataset": f"folder:{here}/photos/"}, 0) == key
    assert run_key("train-g", {"dataset": "folder:~/project/photos"}, 0) == key
    assert run_key("train-g", {"dataset": "folder:other"}, 0) != key
    monkeypatch.chdir("out")
    assert run_key("train-g", {"dataset": "folder:../photos"}, 0) == key
    assert run_key("train-g", {"dataset": "folder:photos"}, 0) != key
