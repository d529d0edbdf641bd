import json
import os
import stat
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from samples import CONTAINERS, SAMPLES, Sample, header, names_in, tensors

from clusterkit.artifacts import hdf5
from clusterkit.artifacts.assignments import Assignment, read_assignments, write_assignments, write_with_network
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5, read_header, write_hdf5
from clusterkit.artifacts.header import canonical, resolved
from clusterkit.artifacts.summary import summarise
from clusterkit.config import ClusterConfig, SelfTrainConfig
from clusterkit.methods import CcnOptions
from clusterkit.settings import CountedBy, File, NoisyPairs

ARCHIVES = Path(__file__).parents[1] / "data" / "archives"

each_sample = pytest.mark.parametrize("sample", SAMPLES.values(), ids=list(SAMPLES))
each_container = pytest.mark.parametrize("sample", CONTAINERS, ids=lambda sample: sample.name)


@each_sample
def test_what_is_written_is_read(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / sample.name
    sample.write(path)
    found, content = sample.values(path)
    assert content == sample.content
    assert (found.format, found.seed, found.config) == (sample.format, 7, {"learning_rate": 1e-05, "name": "é"})
    assert len(found.digest) == 64
    assert names_in(path.parent) == [sample.name]


@each_sample
def test_archives_of_version_1_stay_readable(sample: Sample) -> None:
    found, content = sample.values(ARCHIVES / "v1" / sample.name)
    assert content == sample.content
    assert (found.version, found.format, found.stage) == (1, sample.format, header(sample.format, found.stage).stage)
    assert found.dataset == header("", "").dataset


@each_sample
def test_equal_content_gives_equal_bytes(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path / "a")
    time.sleep(0.01)
    sample.write(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_hdf5_files_hold_no_time(tmp_path: Path) -> None:
    sample = SAMPLES["pairs.h5"]
    sample.write(tmp_path / "a")
    time.sleep(1.1)
    sample.write(tmp_path / "b")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_the_header_is_canonical_json(tmp_path: Path) -> None:
    for sample in CONTAINERS:
        sample.write(tmp_path / sample.name)
    data = (tmp_path / "g.safetensors").read_bytes()
    entries = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    with h5py.File(tmp_path / "assignments.h5") as file:
        texts = [entries["__metadata__"]["clusterkit"], file.attrs["clusterkit"]]
    whole = (tmp_path / "evaluation.json").read_text()
    for text in texts:
        assert text == canonical(json.loads(text))
        assert "1e-05" in text
        assert "\\u00e9" in text
    assert whole == canonical(json.loads(whole)) + "\n"
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"loss": float("nan")})


def test_the_order_of_a_dictionary_means_nothing(tmp_path: Path) -> None:
    state = tensors()
    write_checkpoint(tmp_path / "a", header("g", "train-g", a=1, b=2), state)
    write_checkpoint(tmp_path / "b", header("g", "train-g", b=2, a=1), dict(reversed(state.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_configuration_keeps_the_names_of_files_only() -> None:
    options = CcnOptions(init=File("/home/someone/g.safetensors"))
    config = ClusterConfig(constraints=Path("/home/someone/links.csv"), pairs=File("/home/pairs.h5"), options=options)
    fields = resolved(config)
    assert (fields["constraints"], fields["pairs"], fields["options"]["init"]) == (
        "links.csv",
        "pairs.h5",
        "g.safetensors",
    )
    assert (fields["k"], fields["features"]) == (100, None)
    assert type(fields["options"]["loss"]) is str
    assert resolved(ClusterConfig(k=CountedBy.LABELS, pairs=NoisyPairs(0.5, 1)))["pairs"] == "simulated:0.5,1"
    assert resolved(SelfTrainConfig(g="/home/someone/g.safetensors"))["g"] == "g.safetensors"


def test_tensors_keep_type_shape_and_order_in_memory_does_not_matter(tmp_path: Path) -> None:
    image = torch.rand(2, 3, 4, 5)
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
    state = {str(kind): torch.tensor([[0, 1]]).to(kind) for kind in kinds}
    state["image"] = image.to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path / "a", header("g", "train-g"), state)
    write_checkpoint(tmp_path / "b", header("g", "train-g"), {**state, "image": image})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for name, value in read_checkpoint(tmp_path / "a", "g")[1].items():
        assert value.dtype == state[name].dtype
        assert torch.equal(value, state[name])


def test_arrays_without_elements(tmp_path: Path) -> None:
    nothing = Assignment(np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 3), np.float32))
    write_assignments(tmp_path / "a.h5", header("assignments", "cluster"), {"all": nothing})
    _, found = read_assignments(tmp_path / "a.h5")
    assert found["all"].prob.shape == (0, 3)


def test_a_matrix_larger_than_a_chunk(tmp_path: Path) -> None:
    some = np.random.default_rng(0).random((900, 700)).astype(np.float32)
    one = Assignment(np.arange(900), np.zeros(900, np.int32), some)
    write_assignments(tmp_path / "a.h5", header("assignments", "cluster"), {"all": one, "again": one})
    _, found = read_assignments(tmp_path / "a.h5")
    assert np.array_equal(found["again"].prob, some)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["all/prob"][450:460], some[450:460])


def test_assignments_know_their_network(tmp_path: Path) -> None:
    one = Assignment(np.arange(2), np.zeros(2, np.int32), np.ones((2, 1), np.float32))
    paths = tmp_path / "assignments.h5", tmp_path / "ccn.safetensors"
    made = header("assignments", "cluster"), header("ccn", "cluster")
    write_with_network(paths[0], made[0], {"all": one}, paths[1], made[1], tensors())
    assert read_assignments(paths[0])[0].inputs == {"g": "0" * 64, "ccn": sha256(paths[1])}
    assert read_checkpoint(paths[1], "ccn|adapted")[0].format == "ccn"


def test_the_header_alone(tmp_path: Path) -> None:
    sample = SAMPLES["pairs.h5"]
    sample.write(tmp_path / "a")
    assert read_header(tmp_path / "a", "pairs") == read_hdf5(tmp_path / "a", "pairs")[0]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
@each_container
def test_modes_follow_the_umask(sample: Sample, mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        sample.write(tmp_path / sample.name)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / sample.name).stat().st_mode) == 0o666 & ~mask


@each_sample
def test_summaries_say_what_a_file_is_and_holds(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path / "renamed")
    summary = summarise(tmp_path / "renamed")
    assert summary["header"]["format"] == sample.format
    assert json.loads(json.dumps(summary)) == summary
    expected = {
        "safetensors": {"tensors": 3, "parameters": 7},
        "h5": {title: {name: f"{a[0]} {list(a[1])}" for name, a in g.items()} for title, g in sample.content.items()}
        if sample.name.endswith("h5")
        else None,
        "json": sample.content,
    }
    assert summary["content"] == expected[sample.name.split(".")[1]]


def test_a_long_header(tmp_path: Path) -> None:
    one = Assignment(np.arange(2), np.zeros(2, np.int32), np.ones((2, 1), np.float32))
    made = header("assignments", "cluster", text="é" * 100_000)
    write_assignments(tmp_path / "a.h5", made, {f"subset {n}": one for n in range(50)})
    found, subsets = read_assignments(tmp_path / "a.h5")
    assert found.extra == made.extra
    assert len(subsets) == 50


@pytest.mark.parametrize("known", [True, False])
def test_a_matrix_in_one_piece_is_what_its_blocks_are(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(90, 90)).astype(np.float16)
    places = [(slice(a, a + 45), slice(b, b + 30)) for a in (45, 0) for b in (0, 60, 30)]
    blocks = hdf5.Blocks(values.shape, "<f2", (45, 30), [(place, values[place]) for place in places])
    monkeypatch.setattr(hdf5, "MAPPED_BYTES", 10)
    if not known:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    write_hdf5(tmp_path / "a", header("pairs", "predict-pairs"), {"all": {"id": np.arange(90), "logit": blocks}})
    found = read_hdf5(tmp_path / "a", "pairs")[1]["all"]["logit"]
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, values)
    with h5py.File(tmp_path / "a") as file:
        assert np.array_equal(file["all/logit"][()], values)


def test_large_arrays_are_mapped_and_checked_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    path = tmp_path / "pairs.h5"
    monkeypatch.setattr(hdf5, "MAPPED_BYTES", values.nbytes)
    head = {"weight": np.ones(3, np.float32), "bias": np.ones(1, np.float32)}
    group = {"id": np.arange(50), "u": values, "v": values, **head}
    write_hdf5(path, header("pairs", "predict-pairs"), {"all": group})
    groups = read_hdf5(path, "pairs")[1]["all"]
    assert isinstance(groups["u"], np.memmap)
    assert not isinstance(groups["id"], np.memmap)
    assert np.array_equal(groups["u"], values)
    groups["u"][0] = 1
    assert np.array_equal(read_hdf5(path, "pairs")[1]["all"]["u"], values), "the file is not written to"
    monkeypatch.setattr(hdf5, "MAPPED_BYTES", 10**6)
    assert np.array_equal(read_hdf5(path, "pairs")[1]["all"]["u"], values)
