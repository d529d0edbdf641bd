import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import CONTAINERS, ESTIMATES, SAMPLES, SCORES, Sample, assignments, header, names_in, pairs, tensors

from clusterkit.artifacts import files
from clusterkit.artifacts.assignments import Assignment, read_assignments, write_with_network
from clusterkit.artifacts.checkpoint import digests, write_checkpoint
from clusterkit.artifacts.form import DATASET, fits
from clusterkit.artifacts.hdf5 import SEAL, SEAL_BYTES, read_hdf5, read_header, write_hdf5
from clusterkit.artifacts.header import canonical
from clusterkit.artifacts.json_file import read_json, write_json
from clusterkit.artifacts.lineage import check_dataset, check_made_from
from clusterkit.artifacts.summary import summarise
from clusterkit.errors import InputError

each_container = pytest.mark.parametrize("sample", CONTAINERS, ids=lambda sample: sample.name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    for sample in CONTAINERS:
        sample.write(folder / sample.name)
    return {sample.name: (folder / sample.name).read_bytes() for sample in CONTAINERS}


def error_of(sample: Sample, path: Path) -> str | None:
    """The error that reading ends with, None where the content is the one that was written."""
    try:
        _, content = sample.values(path)
    except InputError as error:
        return str(error)
    assert content == sample.content
    return None


@each_container
def test_a_changed_byte_is_an_error_or_changes_nothing(sample: Sample, whole: dict[str, bytes], tmp_path: Path) -> None:
    path, data = tmp_path / sample.name, bytearray(whole[sample.name])
    path.write_bytes(data)
    original = sample.values(path)
    silent = 0
    with path.open("rb+", buffering=0) as file:
        for at, byte in enumerate(data):
            for mask in (1 << at % 8, 0xFF) if at < 2000 or at % 5 == 0 else (1 << at % 8,):
                os.pwrite(file.fileno(), bytes([byte ^ mask]), at)
                if error_of(sample, path) is None:
                    silent += 1
                    assert sample.values(path) == original
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert path.read_bytes() == data
    assert silent <= 3


@each_container
@given(data=st.data())
def test_changed_inserted_and_removed_bytes(
    sample: Sample, whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    original = whole[sample.name]
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(original))] * 2)))
    path = tmp_path_factory.mktemp("changed") / sample.name
    path.write_bytes(original[:first] + data.draw(st.binary(max_size=40)) + original[last:])
    error_of(sample, path)


@each_container
def test_a_lack_of_memory_is_no_damage(
    sample: Sample, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError("Unable to synchronously open file (unable to allocate memory)")

    path = tmp_path / sample.name
    path.write_bytes(whole[sample.name])
    for place in (h5py, "File"), (safetensors.torch, "load"), (json, "loads"):
        monkeypatch.setattr(*place, full)
    with pytest.raises(OSError, match="allocate memory"):
        sample.values(path)


@each_container
def test_every_truncation_is_an_error(sample: Sample, whole: dict[str, bytes], tmp_path: Path) -> None:
    path, data = tmp_path / sample.name, whole[sample.name]
    lengths = {0, 1, 7, 8, 9, 16, 100, len(data) // 2, *range(len(data) - SEAL_BYTES - 2, len(data))}
    for length in sorted(lengths | set(range(0, len(data), 97))):
        path.write_bytes(data[:length])
        # A JSON file without its last line feed says the same.
        assert error_of(sample, path) or (sample.name.endswith("json") and length == len(data) - 1)


@each_container
def test_errors_say_which_and_what_to_do(sample: Sample, whole: dict[str, bytes], tmp_path: Path) -> None:
    path, data = tmp_path / sample.name, whole[sample.name]
    assert error_of(sample, path).startswith(f"{path}: no such file; make it with: ")
    path.touch()
    assert error_of(sample, path).startswith(f"{path}: empty; make it again with: ")
    path.write_bytes(data[: len(data) // 2])
    assert error_of(sample, path).startswith(f"{path}: damaged (truncated, or bytes were changed); make it again with:")
    path.unlink()
    path.mkdir()
    assert error_of(sample, path).startswith(f"{path}: cannot be read (Is a directory)")
    below = path / "file" / sample.name
    (path / "file").touch()
    assert error_of(sample, below).startswith(f"{below}: cannot be read (Not a directory)")


def write_plain(name: str, path: Path) -> None:
    if name == "safetensors":
        safetensors.torch.save_file({"weight": torch.ones(3)}, path, {"format": "pt"})
    elif name == "bare safetensors":
        safetensors.torch.save_file({"weight": torch.ones(3)}, path)
    elif name == "hdf5":
        with h5py.File(path, "w") as file:
            file["x"] = np.ones(3)
    elif name == "json":
        path.write_text('{"a": [1, 2]}')
    else:
        path.write_bytes({"json list": b"[1, 2]", "text": b"id,cluster\n1,2\n", "binary": bytes(range(256)) * 9}[name])


PLAIN = ("safetensors", "bare safetensors", "hdf5", "json", "json list", "text", "binary")


@pytest.mark.parametrize("plain", PLAIN)
@each_container
def test_foreign_files(sample: Sample, plain: str, tmp_path: Path) -> None:
    write_plain(plain, tmp_path / "x")
    assert error_of(sample, tmp_path / "x").startswith(f"{tmp_path / 'x'}: not a clusterkit {sample.format} file; make")
    with pytest.raises(InputError, match="x: not a clusterkit file"):
        summarise(tmp_path / "x")


@pytest.mark.parametrize("other", SAMPLES.values(), ids=list(SAMPLES))
@each_container
def test_files_of_another_stage(sample: Sample, other: Sample, tmp_path: Path) -> None:
    other.write(tmp_path / "x")
    if other.format != sample.format:
        message = error_of(sample, tmp_path / "x")
        same_container = sample.name.split(".")[1] == other.name.split(".")[1]
        said = f"holds {other.format}, not {sample.format}; make one with: " if same_container else "x: "
        assert said in message


@each_container
def test_newer_files(sample: Sample, whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole[sample.name].replace(b'version":2', b'version":9').replace(b'version\\":2', b'version\\":9')
    if sample.name.endswith("h5"):
        data = data[:-64] + sha256(data[:-SEAL_BYTES]).hexdigest().encode()
    (tmp_path / "x").write_bytes(data)
    assert error_of(sample, tmp_path / "x") == (
        f"{tmp_path / 'x'}: written by a newer clusterkit (format 9); upgrade clusterkit"
    )


def test_values_changed_with_the_seal_renewed(tmp_path: Path) -> None:
    """The digest in the header vouches for the values, whoever wrote the file."""
    sample, path = SAMPLES["assignments.h5"], tmp_path / "x"
    sample.write(path)
    content = path.read_bytes()
    path.write_bytes(content[:-SEAL_BYTES])
    with h5py.File(path, "r+") as file:
        file["all/cluster"][0] = 1
    path.write_bytes(path.read_bytes() + SEAL + files.sha256(path).encode())
    assert "damaged" in error_of(sample, path)


@pytest.mark.parametrize("version", ["2", None, 2.0, True, 0, -1])
def test_versions_that_are_none(version: object, tmp_path: Path) -> None:
    made = replace(header("g", "train-g"), version=version)  # type: ignore[arg-type]
    fields = vars(made) | {"digest": ""}
    digest = sha256(canonical([fields, digests(tensors())]).encode()).hexdigest()
    text = canonical(fields | {"digest": digest})
    (tmp_path / "x").write_bytes(safetensors.torch.save(tensors(), {"clusterkit": text}))
    with pytest.raises(InputError, match="damaged"):
        SAMPLES["g.safetensors"].read(tmp_path / "x", "g")


@pytest.mark.parametrize("format", ['{"format":5,"version":1}', '{"format":null,"version":true}', "[]", "5", '"x"'])
def test_headers_of_the_wrong_shape(format: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f'{{"clusterkit":{format}}}')
    for name in ("evaluation", "any"):
        with pytest.raises(InputError, match="damaged"):
            SAMPLES["evaluation.json"].read(tmp_path / "x", name)
    fields = {**json.loads(canonical(vars(header("g", "train-g")))), "format": {"a": 1}}
    safetensors.torch.save_file({"w": torch.ones(1)}, tmp_path / "y", {"clusterkit": json.dumps(fields)})
    with pytest.raises(InputError, match=r"holds .*, not g|damaged"):
        SAMPLES["g.safetensors"].read(tmp_path / "y", "g")


WRONG = {
    "config": 3, "config.k": [2], "config.bn": "x", "config.source": 1e308, "dataset": {},
    "dataset.fingerprint": None, "extra.source": 3,
    "config.options": "x", "seed": "7", "dataset.name": None,
    "dataset.reading": {"flat": 1}, "dataset.features": [3], "inputs": {"g": 5}, "extra": [], "extra.shape": 32,
    "extra.learned_from": [3], "extra.networks": {"all": {"hidden": "x"}},
    "extra.history": 0.5, "extra.health": {"all": {"similar_rate": "x"}}, "extra.classes": [1], "device": {},
}  # fmt: skip
"""Members of a header, and what none of them can be."""


@pytest.mark.parametrize("member", WRONG)
def test_members_of_another_type(member: str, tmp_path: Path) -> None:
    fields = json.loads(canonical(vars(header("g", "train-g"))))
    *outer, name = member.split(".")
    place = fields
    for each in outer:
        place = place[each]
    place[name] = WRONG[member]
    digest = sha256(canonical([fields, digests(tensors())]).encode()).hexdigest()
    (tmp_path / "x").write_bytes(
        safetensors.torch.save(tensors(), {"clusterkit": canonical(fields | {"digest": digest})})
    )
    with pytest.raises(InputError, match=r"its header has members of other types .*; make it again with: "):
        SAMPLES["g.safetensors"].read(tmp_path / "x", "g")


MODEL = {
    "name": "timm:x", "sha256": "0" * 64, "licence": "mit", "width": 4, "size": 8, "crop": 1, "mode": "center",
    "interpolation": "bicubic", "mean": [0.5], "std": [0.5],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": None},
        {"licence": None},
        {"learned_from": 3},
        {"learned_from": [{"name": "x"}]},
        {"map": "x"},
        {"blocks": []},
    ],
)
def test_models_of_another_form(change: dict[str, object]) -> None:
    dataset = {"name": "x", "fingerprint": "y", "features": [MODEL]}
    assert fits(dataset, DATASET)
    assert not fits(dataset | {"features": [MODEL | change]}, DATASET)


MISFITS = {
    "assignments": {
        "cluster": [np.zeros(3, "f4"), np.zeros(2, "i4"), np.array([0, 3, 1], "i4"), np.array([0, -2, 1], "i4")],
        "prob": [
            np.eye(2, dtype="f4"),
            np.eye(3, dtype="i4"),
            np.ones(3, "f4"),
            np.full((3, 3), np.nan, "f4"),
            -np.eye(3, dtype="f4"),
        ],
        "id": [np.zeros(3, "i8"), np.arange(3, dtype="f4"), None],
    },
    "pairs": {
        "logit": [np.zeros((4, 3), "f2"), np.zeros((4, 4), "i4"), np.zeros(4, "f2"), None],
        "id": [np.arange(5), np.array([3, 3, 5, 7])],
    },
}


@pytest.mark.parametrize("format", MISFITS)
def test_arrays_of_another_type_or_shape_are_named(format: str, tmp_path: Path) -> None:
    title, group = next(iter((assignments() if format == "assignments" else pairs()).items()))
    path = tmp_path / f"{format}.h5"
    for name, values in MISFITS[format].items():
        for value in values:
            changed = {key: entry for key, entry in {**group, name: value}.items() if entry is not None}
            write_hdf5(path, header(format, "cluster"), {title: changed})
            with pytest.raises(InputError, match=f"{format}.h5: {title}(/| lacks arrays).*; make it again with: "):
                read_hdf5(path, format)
    write_hdf5(path, header(format, "cluster"), {})
    with pytest.raises(InputError, match="holds no subset"):
        read_hdf5(path, format)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_pairs_of_a_metric_have_the_precision_of_its_vectors(kind: str, tmp_path: Path) -> None:
    group = {"id": np.arange(3), "z": np.eye(3, dtype=kind), "scale": np.ones(1, kind), "bias": np.ones(1, kind)}
    write_hdf5(tmp_path / "pairs.h5", header("pairs", "predict-pairs"), {"all": group})
    assert read_hdf5(tmp_path / "pairs.h5", "pairs")[1]["all"]["z"].dtype == kind


@pytest.mark.parametrize(
    ("format", "content"),
    [("k", {}), ("k", ESTIMATES | {"recommended": {"all": "5"}}), ("k", ESTIMATES | {"estimates": {"all": 5}}),
     ("k", {"recommended": {"all": 5}}), ("evaluation", SCORES | {"mean": {"acc": "1"}}), ("evaluation", {"mean": {}})],
)  # fmt: skip
def test_json_of_another_form(format: str, content: dict[str, object], tmp_path: Path) -> None:
    write_json(tmp_path / "x", header(format, "evaluate"), content)
    with pytest.raises(InputError, match="it has other members than clusterkit writes; make it again with: "):
        read_json(tmp_path / "x", format)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2, 1)])
def test_tensors_of_any_stride_are_written(shape: tuple[int, ...], tmp_path: Path) -> None:
    value = torch.ones(2, 4)[:, ::4] if shape == (2, 1) else torch.tensor(5).expand(shape)
    write_checkpoint(tmp_path / "x", header("g", "train-g"), {"x": value})
    assert SAMPLES["g.safetensors"].read(tmp_path / "x", "g")[1]["x"].shape == shape


def test_the_header_alone_is_read_from_whole_files_only(whole: dict[str, bytes], tmp_path: Path) -> None:
    data = whole["assignments.h5"]
    (tmp_path / "x").write_bytes(data[:3000] + bytes([data[3000] ^ 1]) + data[3001:])
    with pytest.raises(InputError, match="damaged"):
        read_header(tmp_path / "x", "assignments")


def refused(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.mkdir"])
@each_container
def test_a_failed_write_leaves_the_old_file(
    sample: Sample, broken: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / sample.name
    path.write_bytes(whole[sample.name])
    monkeypatch.setattr(broken, refused)
    with pytest.raises(InputError) as caught:
        sample.write(path)
    monkeypatch.undo()
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); free disk space or choose another folder with --workdir"
    )
    assert path.read_bytes() == whole[sample.name]
    assert names_in(tmp_path) == [sample.name]


@each_container
def test_places_that_cannot_be_written(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / sample.name).mkdir(parents=True)
    for path in (tmp_path / "file" / sample.name, tmp_path / "folder" / sample.name):
        with pytest.raises(InputError, match=r"cannot be written \((Is a directory|Not a directory|File exists)\)"):
            sample.write(path)
    assert names_in(tmp_path / "folder") == [sample.name]


FULL = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from samples import header, tensors
from clusterkit.artifacts import hdf5
from clusterkit.artifacts.assignments import Assignment, write_assignments
from clusterkit.artifacts.checkpoint import write_checkpoint
from clusterkit.errors import InputError
hdf5.MAPPED_BYTES = 10**6
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
one = Assignment(np.arange(3000), np.zeros(3000, np.int32), np.ones((3000, 40), np.float32))
for limit in (0, 1, 100, 600, 2048, 5000, 100_000, 500_000, 517_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for name in ("assignments.h5", "g.safetensors", "pairs.h5"):
        if name == "g.safetensors" and limit > 700:
            continue
        try:
            if name == "assignments.h5":
                write_assignments(Path(name), header("assignments", "cluster"), {"all": one})
            elif name == "pairs.h5":
                half = np.ones((900, 450), "<f2")
                places = [(slice(0, 900), slice(at, at + 450)) for at in (0, 450)]
                blocks = hdf5.Blocks((900, 900), "<f2", (450, 450), [(place, half) for place in places])
                hdf5.write_hdf5(Path(name), header("pairs", "predict-pairs"), {"all": {"logit": blocks}})
            else:
                write_checkpoint(Path(name), header("g", "train-g"), tensors())
            os._exit(1)
        except InputError as error:
            assert "File too large" in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert [Path(name).read_text() for name in sorted(os.listdir("."))] == ["old"] * 3
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """HDF5 cannot close a file whose writes fail; nothing of it, and no half file, may be left when disks are full."""
    for name in ("assignments.h5", "g.safetensors", "pairs.h5"):
        (tmp_path / name).write_text("old")
    command = [sys.executable, "-c", FULL, str(Path(__file__).parent)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_network_and_its_assignments_are_replaced_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = tmp_path / "ccn.safetensors", tmp_path / "assignments.h5"
    for place in (network, path):
        place.write_text("old")
    bad = {"all": Assignment(np.arange(2), np.zeros(2, np.int32), np.ones((2, 1), np.float32))}
    monkeypatch.setattr("clusterkit.artifacts.hdf5._fill", refused)
    with pytest.raises(InputError, match=r"assignments.h5: cannot be written \(No space left on device\)"):
        write_with_network(
            path, header("assignments", "cluster"), bad, network, header("ccn", "cluster"), tensors()
        )  # fmt: skip
    assert network.read_text() == path.read_text() == "old"
    assert names_in(tmp_path) == ["assignments.h5", "ccn.safetensors"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with files.atomic(tmp_path / "x") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names_in(tmp_path) == []


def test_lineage(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    made = header("pairs", "predict-pairs")
    check_made_from(made, tmp_path / "pairs.h5", "g", path)
    write_checkpoint(path, header("g", "train-g"), tensors())
    with pytest.raises(InputError, match=r"pairs.h5: was made from another g.safetensors than .*predict"):
        check_made_from(made, tmp_path / "pairs.h5", "g", path)
    check_dataset(made, path, "glyphs_eval", "f" * 64)
    with pytest.raises(InputError, match="the content of glyphs_eval has changed since this file was made; run: "):
        check_dataset(made, path, "glyphs_eval", "0")
    with pytest.raises(
        InputError, match="was made from glyphs_eval, not from digits; run: clusterkit predict-pairs digits"
    ):
        check_dataset(made, path, "digits", "0")


def test_assignments_need_their_three_arrays(tmp_path: Path) -> None:
    SAMPLES["pairs.h5"].write(tmp_path / "x")
    with pytest.raises(InputError, match="holds pairs, not assignments"):
        read_assignments(tmp_path / "x")
