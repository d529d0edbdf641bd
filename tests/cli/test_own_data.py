"""A user's own data, named in other ways and from other folders than where a run began."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.__main__ import main
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.artifacts.header import Header
from clusterkit.config import Backbone, ClusterConfig, Context, Kind, TrainGConfig
from clusterkit.datasets import catalogue
from clusterkit.datasets.catalogue import select
from clusterkit.datasets.current import is_of_same_data
from clusterkit.errors import UsageError
from clusterkit.features.choice import with_training
from clusterkit.networks.read import read_g
from clusterkit.studies.common import runs
from tests.conftest import Cli

SMALL = "--backbone mlp --epochs 1"
ARRAYS, PHOTOS = "arrays:{}/points.npz", "folder:{}/photos"


def points(seed: int = 0) -> np.ndarray:
    """Three groups of eight points in the plane."""
    return np.repeat([[0, 0], [9, 0], [0, 9]], 8, axis=0) + np.random.default_rng(seed).normal(size=(24, 2))


def write_points(path: Path, seed: int = 0) -> None:
    np.savez(path, x=points(seed), y=np.repeat(["a", "b", "c"], 8))


@pytest.fixture
def project(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a user's data in it."""
    folder = tmp_path / "project"
    for number in range(6):
        path = folder / "photos" / "ab"[number // 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 20, 90)).save(path)
    write_points(folder / "points.npz")
    monkeypatch.chdir(folder)
    return folder


def chain(data: str, work: str) -> list[str]:
    """Every stage that learns or writes something of a data set."""
    size = "--size 8" if data.startswith("folder") else ""
    lines = [
        f"train-g {data} --hidden 8 {SMALL} {size}", f"pretrain {data} {SMALL} {size}", f"predict-pairs {data}",
        f"cluster {data} --k 4 {SMALL}", "estimate-k", "evaluate", f"assign {data}",
        f"adapt {data} {data} --method dann --backbone mlp --steps 1 {size}",
    ]  # fmt: skip
    return [f"{line} --workdir {work} --quiet" for line in lines]


def made(data: str, work: str) -> dict[str, bytes]:
    for line in chain(data, work):
        assert main(line.split()) == 0
    return {path.name: path.read_bytes() for path in Path(work).iterdir()}


@pytest.mark.parametrize("data", [ARRAYS, PHOTOS])
def test_files_are_the_same_however_data_are_named_and_hold_no_absolute_path(data: str, project: Path) -> None:
    absolute = made(data.format(project), "one")
    assert absolute == made(data.format("photos/.."), str(project / "two"))
    assert len(absolute) == 10
    for name, content in absolute.items():
        assert str(project.parent).encode() not in content, name


@pytest.mark.parametrize("data", [ARRAYS, PHOTOS])
def test_data_are_found_from_another_folder_and_after_a_move(
    data: str, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(data.format("."), "work")
    moved = shutil.move(project, project.parent / "moved")
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for line in (f"cluster --k 4 --seed 1 {SMALL}", "evaluate", "evaluate --assignments adapted.h5"):
        done = cli(f"{line} --workdir ../moved/work --json")
        assert done.code == 0, done.err
    assert json.loads(done.out)["dataset"] == data.format(moved)
    monkeypatch.chdir(moved)
    assert json.loads(cli("evaluate --workdir work --json").out)["dataset"] == data.format(".").replace("./", "")


def test_messages_name_data_as_they_can_be_typed(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made(ARRAYS.format(project), "work")
    write_points(Path("points.npz"), seed=1)
    for data in ("", "arrays:points.npz", ARRAYS.format(project)):
        done = cli(f"cluster {data} --k 4 {SMALL} --workdir work")
        assert done.code == 3
        assert "pairs.h5: the content of arrays:points.npz has changed" in done.err
        assert done.err.endswith("run: clusterkit predict-pairs arrays:points.npz --workdir work\n")
    monkeypatch.chdir("photos")
    done = cli(f"cluster --k 4 {SMALL} --workdir ../work")
    assert done.err.endswith(f"run: clusterkit predict-pairs {ARRAYS.format(project)} --workdir ../work\n")
    done = cli("train-g folder:~no-such-user/photos")
    assert (done.code, "~no-such-user/photos: no such home folder" in done.err) == (2, True)


@pytest.mark.parametrize("stage", ["train-g", "predict-pairs"])
def test_a_run_goes_on_from_another_folder(
    stage: str, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made("arrays:points.npz", "work")
    shutil.copytree("work", "part")
    line = {"train-g": f"train-g {{}} --hidden 8 {SMALL}", "predict-pairs": "predict-pairs {}"}[stage]
    function = {
        "train-g": "clusterkit.stages.train_g.held_out_scores",
        "predict-pairs": "clusterkit.stages.predict_pairs.write_hdf5",
    }[stage]
    with monkeypatch.context() as patch:
        patch.setattr(function, interrupted)
        assert cli(f"{line.format('arrays:points.npz')} --workdir part").code == 130
    (Path("part") / {"train-g": "g.safetensors", "predict-pairs": "pairs.h5"}[stage]).unlink()
    monkeypatch.chdir("photos")
    done = cli(f"{line.format('arrays:../points.npz')} --workdir ../part --resume")
    assert done.code == 0, done.err
    assert stage != "train-g" or "resumed after epoch 1" in done.err
    assert {path.name: path.read_bytes() for path in (project / "part").iterdir()} == whole


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_copy_of_a_g_finds_the_data_of_the_first_one(project: Path) -> None:
    assert main(f"train-g arrays:points.npz --hidden 8 {SMALL} --quiet".split()) == 0
    first = Path("clusterkit-out/g.safetensors")
    copy = runs.copy_g(first, Context(workdir=Path("other/below")))
    assert read_g(copy)[0].dataset == read_g(first)[0].dataset
    again = runs.copy_g(copy, Context(workdir=Path("third")))
    assert again.read_bytes() == first.read_bytes()


AUTOMATIC = f"cluster --k 4 {SMALL}"


def test_automatic_pairs_follow_the_content_of_their_data(project: Path, cli: Cli) -> None:
    for line in (f"train-g arrays:points.npz --hidden 8 {SMALL}", f"{AUTOMATIC} arrays:points.npz"):
        assert cli(line).code == 0
    before = Path("clusterkit-out/pairs.h5").read_bytes()
    assert "predicting" not in cli(AUTOMATIC).err
    write_points(Path("points.npz"), seed=1)
    done = cli(AUTOMATIC)
    assert done.code == 0, done.err
    assert "predicting pairs first (those of arrays:points.npz no longer fit)" in done.err
    assert Path("clusterkit-out/pairs.h5").read_bytes() != before
    Path("points.npz").unlink()
    done = cli(AUTOMATIC)
    assert (done.code, "points.npz: no such file" in done.err) == (3, True)


def test_k_auto_counts_again_in_changed_data(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterConfig, "k", 12)
    line = f"cluster arrays:points.npz --k auto {SMALL}"
    assert cli(f"train-g arrays:points.npz --hidden 8 {SMALL}").code == 0
    assert cli(line).code == 0
    assert "estimating K first" not in cli(line).err
    write_points(Path("points.npz"), seed=1)
    done = cli(line)
    assert done.code == 0, done.err
    assert "estimating K first" in done.err


def test_a_study_keeps_what_was_made_of_the_same_content(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(catalogue, "select", lambda *given: read.append(given) or select(*given))
    config = with_training(
        TrainGConfig(dataset="arrays:points.npz", backbone=Backbone.MLP, hidden=8, epochs=1), Kind.VECTORS
    )
    resumed = Context(resume=True)
    path = runs.run_stage(config, resumed)
    read.clear()
    for name in ("arrays:points.npz", ARRAYS.format(project), ARRAYS.format("../project")):
        assert runs.keeps(path, replace(config, dataset=name), replace(resumed, offline=True))
    assert len(read) == 1, "a command reads a set once to compare it"
    write_points(Path("other.npz"))
    assert not runs.keeps(path, replace(config, dataset="arrays:other.npz"), resumed)
    write_points(Path("points.npz"), seed=1)
    assert not runs.keeps(path, config, Context(resume=True))
    Path("points.npz").unlink()
    assert not runs.keeps(path, config, Context(resume=True))
    shutil.move("other.npz", "points.npz")
    assert runs.keeps(path, config, Context(resume=True))
    header, state = read_checkpoint(path, "g")
    write_checkpoint(path, replace(header, version=1), state)
    assert not runs.keeps(path, config, Context(resume=True)), "of an older format"


@pytest.mark.parametrize("role", ["dataset", "source", "self_trained_on"])
def test_every_data_set_of_a_header_counts(role: str, project: Path) -> None:
    fields = catalogue.load_dataset("arrays:points.npz", Path()).to_header()
    given = {"dataset": fields} if role == "dataset" else {"extra": {role: fields}}
    header = Header("assignments", "adapt", {}, 0, "cpu", **given)
    assert is_of_same_data(header, Context())
    write_points(Path("points.npz"), seed=1)
    assert not is_of_same_data(header, Context())


def test_labels_count_where_they_were_learned(project: Path) -> None:
    config = with_training(
        TrainGConfig(dataset="arrays:points.npz", backbone=Backbone.MLP, hidden=8, epochs=1), Kind.VECTORS
    )
    path = runs.run_stage(config, Context())
    for y, same in (("abc", True), ("abb", False), ("abd", False), ("abc", True)):
        np.savez("points.npz", x=points(), y=np.repeat(list(y), 8))
        assert runs.keeps(path, config, Context(resume=True)) == same


def test_k_auto_counts_again_under_other_constraints(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterConfig, "k", 12)
    line = f"cluster arrays:points.npz --k auto --constraints links.csv {SMALL}"
    assert cli(f"train-g arrays:points.npz --hidden 8 {SMALL}").code == 0
    for word, counting in (("must", True), ("must", False), ("cannot", True)):
        Path("links.csv").write_text(f"0,9,{word}\n")
        done = cli(line)
        assert done.code == 0, done.err
        assert ("estimating K first" in done.err) == counting


LEARNING = {
    "cluster.solve": (
        f"cluster arrays:points.npz --k 3 {SMALL} --pairs labels",
        f"cluster arrays:points.npz --k 3 {SMALL} --pairs simulated:0.9,0.9",
        f"cluster arrays:points.npz --k known {SMALL} --pairs labels",
    ),
    "train_g.fit": (f"train-g arrays:points.npz {SMALL}",),
    "pretrain.fit": (f"pretrain arrays:points.npz {SMALL}",),
    "self_train.fit": ("self-train synthetic:blobs",),
    "adapt.adapt": ("adapt arrays:points.npz arrays:target.npz --method dann --backbone mlp --steps 1",),
}


@pytest.mark.parametrize("where", LEARNING)
def test_a_run_on_other_labels_is_not_gone_on_with(
    where: str, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(f"train-g arrays:points.npz --hidden 8 {SMALL}").code == 0
    np.savez("target.npz", x=points(1))
    keys = []

    def stop(*given: object, **named: object) -> None:
        keys.extend(one.key for one in given if hasattr(one, "key"))
        raise UsageError("far enough")

    monkeypatch.setattr(f"clusterkit.stages.{where}", stop)
    for line in LEARNING[where]:
        keys.clear()
        for y in ("abc", "abb", "abc"):
            np.savez("points.npz", x=points(), y=np.repeat(list(y), 8))
            assert "far enough" in cli(line).err
        assert keys[0] == keys[2] != keys[1]


def test_automatic_pairs_do_not_go_by_the_labels_that_g_learned(project: Path, cli: Cli) -> None:
    assert cli(f"train-g arrays:points.npz --hidden 8 {SMALL}").code == 0
    assert cli(f"{AUTOMATIC} arrays:points.npz").code == 0
    np.savez("points.npz", x=points(), y=np.repeat(list("abb"), 8))
    done = cli(AUTOMATIC)
    assert (done.code, "predicting" in done.err) == (0, False)


def test_a_linked_work_folder_is_the_one_it_links_to(project: Path, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "scratch" / "deep" / "out").mkdir(parents=True)
    Path("out").symlink_to(tmp_path / "scratch" / "deep" / "out")
    for line in (f"train-g arrays:points.npz --hidden 8 {SMALL}", f"cluster arrays:points.npz --k 4 {SMALL}"):
        assert cli(f"{line} --workdir out").code == 0
    for work in ("out", str(tmp_path / "scratch" / "deep" / "out")):
        assert cli(f"evaluate --workdir {work}").code == 0


def test_a_link_above_data_and_work_folder_is_not_in_the_way(project: Path, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    for data, work in (("points.npz", "a"), (f"{tmp_path}/link/points.npz", f"{tmp_path}/link/b")):
        assert cli(f"train-g arrays:{data} --hidden 8 {SMALL} --workdir {work}").code == 0
    assert Path("a/g.safetensors").read_bytes() == Path("b/g.safetensors").read_bytes()
    config = with_training(
        TrainGConfig(dataset=f"arrays:{tmp_path}/link/points.npz", backbone=Backbone.MLP, hidden=8, epochs=1),
        Kind.VECTORS,
    )
    assert runs.keeps(Path("a/g.safetensors"), config, Context(workdir=Path("a"), resume=True))


def test_k_auto_counts_by_a_network_that_starts_from_a_file(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterConfig, "k", 12)
    assert cli(f"train-g arrays:points.npz --hidden 8 {SMALL}").code == 0
    for seed, counting in ((0, True), (0, False), (1, True)):
        assert cli(f"pretrain arrays:points.npz {SMALL} --seed {seed}").code == 0
        done = cli("cluster arrays:points.npz --k auto --init pretrained.safetensors --epochs 1")
        assert done.code == 0, done.err
        assert ("estimating K first" in done.err) == counting
