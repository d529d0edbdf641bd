"""clusterkit.load: every artifact as plain values, with the checks of inspect."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import clusterkit
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.header import Header
from clusterkit.artifacts.json_file import read_json, write_json
from clusterkit.errors import InputError
from clusterkit.python.loading import Artifact
from tests.conftest import Cli

OUT = Path("clusterkit-out")
ARTIFACTS = ("g.safetensors", "pairs.h5", "assignments.h5", "ccn.safetensors", "k.json", "evaluation.json",
             "adapted.safetensors", "adapted.h5")  # fmt: skip


def test_what_files_hold(points: Path) -> None:
    for name in ARTIFACTS:
        artifact = clusterkit.load(OUT / name)
        assert artifact.header["digest"]
        assert name.startswith(artifact.header["format"]) or name == "adapted.h5"
        assert len(artifact) == len(list(artifact)) > 0
        assert str(OUT / name) in repr(artifact)
    _, state = read_checkpoint(OUT / "g.safetensors", "g")
    network = clusterkit.load("clusterkit-out/g.safetensors")
    assert set(network) == set(state)
    for name, tensor in state.items():
        assert isinstance(network[name], np.ndarray)
        assert torch.equal(torch.from_numpy(network[name]), tensor)
    assert dict(clusterkit.load(OUT / "k.json")) == read_json(OUT / "k.json", "k")[1]
    assert clusterkit.load(OUT / "pairs.h5")["all"]["logit"].dtype == np.float16


def test_subsets_by_name(letters: Path) -> None:
    artifact = clusterkit.load(OUT / "assignments.h5")
    _, wanted = read_assignments(OUT / "assignments.h5")
    assert set(artifact) == set(wanted)
    for title, group in artifact.items():
        np.testing.assert_array_equal(group["cluster"], wanted[title].cluster)
    with pytest.raises(KeyError, match="Atlantis"):
        artifact["Atlantis"]


def test_types_that_numpy_lacks() -> None:
    value = torch.tensor([1.0, 0.5]).bfloat16()
    write_checkpoint(
        Path("x"), Header("g", "train-g", {}, 0, "cpu", {"name": "digits", "fingerprint": "f"}), {"w": value}
    )
    assert clusterkit.load("x")["w"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("name", ARTIFACTS)
def test_damaged_files(name: str, points: Path) -> None:
    path = OUT / name
    content = path.read_bytes()
    for bad, reason in [
        (b"", "empty"),
        (content[:-20], "damaged"),
        (content[: len(content) // 2], "damaged"),
        (b"a note", "not a clusterkit file"),
    ]:
        path.write_bytes(bad)
        with pytest.raises(InputError, match=f"{name}: {reason}"):
            clusterkit.load(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such file; make it with: clusterkit "):
        clusterkit.load(path)


def test_places_that_are_no_files() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        clusterkit.load(Path())
    with pytest.raises(TypeError):
        clusterkit.load(3)  # type: ignore[arg-type]


@pytest.fixture
def pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for pandas, whose frames are their columns."""
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))  # type: ignore[arg-type]


def check_frames(columns: Any) -> None:
    """Compare the frames of a work folder with what its files hold; `columns` gives a frame's values by column."""
    frame = columns(clusterkit.load(OUT / "assignments.h5").to_pandas())
    _, assigned = read_assignments(OUT / "assignments.h5")
    assert list(frame) == ["subset", "id", "cluster", "probability"]
    assert frame["subset"] == [title for title, one in assigned.items() for _ in one.id]
    assert frame["id"] == [item for one in assigned.values() for item in one.id.tolist()]
    assert frame["cluster"] == [number for one in assigned.values() for number in one.cluster.tolist()]
    assert frame["probability"] == [most for one in assigned.values() for most in one.prob.max(1).tolist()]
    network = clusterkit.load(OUT / "ccn.safetensors")
    frame = columns(network.to_pandas())
    assert list(frame) == ["subset", "training", "epoch", "loss"]
    assert frame["loss"] == [row["loss"] for row in network.history]
    with pytest.raises(TypeError, match=r"pairs\.h5: holds pairs, which are not a table"):
        clusterkit.load(OUT / "pairs.h5").to_pandas()


def plain(frame: Any) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in frame.items()}


@pytest.mark.usefixtures("pandas", "letters")
def test_frames_of_several_subsets() -> None:
    check_frames(plain)


@pytest.mark.usefixtures("points")
def test_frames_of_pandas_itself() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed, and clusterkit needs it for to_pandas alone")
    check_frames(lambda frame: frame.to_dict("list"))


@pytest.mark.usefixtures("pandas")
def test_frames_of_results(points: Path) -> None:
    scores = clusterkit.load(OUT / "evaluation.json")
    frame = plain(scores.to_pandas())
    assert frame["subset"] == ["all"]
    assert {name: values[0] for name, values in frame.items() if name != "subset"} == scores["subsets"]["all"]
    frame = plain(clusterkit.load(OUT / "k.json").to_pandas())
    assert frame["recommended"] == [clusterkit.load(OUT / "k.json")["recommended"]["all"]]
    assert {"subset", "ndc", "spread"} < set(frame)
    for name, losses in (("g.safetensors", {"loss"}), ("adapted.safetensors", {"classification", "cluster"})):
        assert set(plain(clusterkit.load(OUT / name).to_pandas())) == {"subset", "training", "epoch"} | losses


@pytest.mark.usefixtures("pandas")
def test_scores_that_only_some_subsets_have() -> None:
    content = {"subsets": {"a": {"acc": 0.5}, "b": {"acc": 0.25, "ndc": 3.0}}, "mean": {}, "notes": {}}
    write_json(
        Path("x"), Header("evaluation", "evaluate", {}, 0, "cpu", {"name": "digits", "fingerprint": "f"}), content
    )
    frame = plain(clusterkit.load("x").to_pandas())
    assert frame == {"subset": ["a", "b"], "acc": [0.5, 0.25], "ndc": [None, 3.0]}


@pytest.mark.usefixtures("pandas")
def test_items_in_no_cluster_have_no_probability() -> None:
    group = {"id": np.arange(2), "cluster": np.array([1, -1]), "prob": np.array([[0, 1], [0, 0]], np.float32)}
    frame = plain(Artifact(Path("x"), Header("assignments", "cluster", {}, 0, "cpu"), {"all": group}).to_pandas())
    assert frame["probability"][0] == 1
    assert np.isnan(frame["probability"][1])


def test_without_pandas_it_is_named(points: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_pandas needs pandas, which is not installed; run: pip install pandas"):
        clusterkit.load(OUT / "assignments.h5").to_pandas()


def test_networks_without_a_history(points: Path, cli: Cli) -> None:
    assert cli("adapt synthetic:blobs synthetic:blobs --method jan --backbone mlp --steps 1 --snapshots").code == 0
    with pytest.raises(
        InputError, match=r"adapted-1\.safetensors: holds no history of a training; inspect a file of train-g"
    ):
        _ = clusterkit.load(OUT / "adapted-1.safetensors").history
