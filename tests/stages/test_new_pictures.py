"""assign on image files that are named one by one, and how unlike all clusters they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clusterkit
from clusterkit.__main__ import main
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint, write_checkpoint
from clusterkit.config import Context
from clusterkit.datasets.catalogue import load_recorded
from tests.conftest import Cli, once

OUT = Path("clusterkit-out")
COLOURS = ((200, 40, 40), (40, 40, 200))


def draw(path: str, colour: tuple[int, int, int], seed: int) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(-20, 20, (16, 16, 3)) + colour
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def build(folder: Path) -> None:
    """Red and blue pictures in clusters of their own; new ones of both colours, and a green one."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number in range(60):
            draw(f"old/{'rb'[number % 2]}/{number:02}.png", COLOURS[number % 2], number)
        line = "cluster folder:old --pairs labels --k 3 --backbone mlp --epochs 60 --quiet"
        assert main(line.split()) == 0
        draw("new/red.png", COLOURS[0], 100)
        draw("new/blue.png", COLOURS[1], 101)
        draw("new/green.png", (40, 250, 40), 102)


@pytest.fixture(scope="session")
def album_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "album", build)


@pytest.fixture
def album(album_made: Path, tmp_path: Path) -> None:
    """A copy of the pictures and of their clusters, in the current folder."""
    shutil.copytree(album_made, tmp_path, dirs_exist_ok=True)


def rows(line: str, cli: Cli) -> list[dict[str, object]]:
    done = cli(f"{line} --json")
    assert done.code == 0, done.err
    found: list[dict[str, object]] = json.loads(done.out)["rows"]
    return found


def test_files_are_assigned_in_the_order_they_were_named(album: None, cli: Cli) -> None:
    _, groups = read_assignments(OUT / "assignments.h5")
    red, blue = groups["all"].cluster[-1], groups["all"].cluster[0]
    result = rows("assign new/blue.png new/green.png ./new/red.png", cli)
    assert [row["name"] for row in result] == ["new/blue.png", "new/green.png", "./new/red.png"]
    assert (result[0]["cluster"], result[2]["cluster"]) == (blue, red)
    assert set(result[0]) == {"subset", "name", "cluster", "class", "probability", "unlike"}
    header, groups = read_assignments(OUT / "assigned.h5")
    assert header.dataset["name"] == "folder:."
    assert header.dataset["files"] == header.config["files"] == ["new/blue.png", "new/green.png", "new/red.png"]
    assert groups["all"].id.tolist() == [0, 1, 2]
    assert groups["all"].unlike is not None
    assert groups["all"].unlike.tolist() == [row["unlike"] for row in result]
    assert read_assignments(OUT / "assigned.h5")[1]["all"].prob.shape == (3, 3)


def test_lines_name_each_file_with_its_cluster(album: None, cli: Cli) -> None:
    [row] = rows("assign new/red.png", cli)
    done = cli("assign new/red.png")
    line = f"new/red.png\t{row['cluster']}\t{row['probability']:.4f}\t{row['unlike']:.2f}"
    assert (done.code, done.out.splitlines()) == (0, [f"{OUT}/assigned.h5", line])
    assert cli("assign folder:new").out == f"{OUT}/assigned.h5\n"


def test_a_folder_and_its_files_are_assigned_alike(album: None, cli: Cli) -> None:
    whole = rows("assign folder:new", cli)
    files = rows("assign new/blue.png new/green.png new/red.png", cli)
    assert [row["name"] for row in whole] == ["blue.png", "green.png", "red.png"]
    for one, other in zip(whole, files, strict=True):
        assert {**one, "name": f"new/{one['name']}"} == other


def test_the_pictures_are_found_again_by_the_header(
    album: None, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw("elsewhere/one.png", COLOURS[0], 7)
    Path("below").mkdir()
    monkeypatch.chdir("below")
    typed = ["../new/red.png", str(tmp_path / "elsewhere" / "one.png")]
    result = rows(f"assign {' '.join(typed)} --workdir ../clusterkit-out", cli)
    assert [row["name"] for row in result] == typed
    for place in (".", ".."):
        monkeypatch.chdir(place)
        header, _ = read_assignments(tmp_path / OUT / "assigned.h5")
        data = load_recorded(header.dataset, Context(), tmp_path / OUT / "assigned.h5")
        assert data.fingerprint == header.dataset["fingerprint"]
        assert data.union().names == ("new/red.png", "elsewhere/one.png")
        assert data.subsets[0].files is not None
        assert [path.name for path in data.subsets[0].files] == ["red.png", "one.png"]
    assert str(tmp_path).encode() not in (tmp_path / OUT / "assigned.h5").read_bytes()


def test_files_that_were_named_get_folders_but_not_among_them(album: None, cli: Cli) -> None:
    assert cli("assign new/red.png new/blue.png").code == 0
    done = cli("report --assignments assigned.h5 --folders new/found")
    assert (done.code, "lies among the pictures" in done.err) == (2, True)
    assert cli("report --assignments assigned.h5 --folders found").code == 0
    assert sorted(path.name for path in Path("found").glob("*/*")) == ["blue.png", "red.png"]


def test_unlike_pictures_are_named_and_unknown_ones_are_in_no_cluster(album: None, cli: Cli) -> None:
    for number in range(8):
        draw(f"many/{number}.png", (40, 250, 40), number)
    line = "assign new/red.png new/green.png new/blue.png"
    result = rows(line, cli)
    assert [row["unlike"] > 1 for row in result] == [False, True, False]  # type: ignore[operator]
    done = cli(line)
    assert "assign: 1 of 3 pictures is unlike all clusters: new/green.png\n" in done.err
    assert -1 not in [row["cluster"] for row in result]
    unknown = rows(f"{line} --unknown", cli)
    assert [row["cluster"] for row in unknown] == [result[0]["cluster"], -1, result[2]["cluster"]]
    assert [row["unlike"] for row in unknown] == [row["unlike"] for row in result]
    assert read_assignments(OUT / "assigned.h5")[1]["all"].cluster[1] == -1
    done = cli("assign folder:many")
    assert "8 of 8 pictures are unlike all clusters: 0.png, 1.png, 2.png, 3.png, 4.png and 3 more\n" in done.err


def test_bad_files_are_left_out_by_a_flag_only(album: None, cli: Cli) -> None:
    Path("new/bad.png").write_text("no image")
    Path("new/empty.png").touch()
    done = cli("assign new/bad.png new/red.png")
    assert (done.code, done.out) == (3, "")
    assert "new/bad.png: not a readable image" in done.err
    assert not (OUT / "assigned.h5").exists()
    result = rows("assign new/red.png new/bad.png new/empty.png new/blue.png --skip-bad", cli)
    assert [row["name"] for row in result] == ["new/red.png", "new/blue.png"]
    header, groups = read_assignments(OUT / "assigned.h5")
    assert groups["all"].id.tolist() == [0, 3]
    assert load_recorded(header.dataset, Context()).fingerprint == header.dataset["fingerprint"]
    done = cli("assign ./new/../new/bad.png --skip-bad")
    assert done.code == 3
    assert "error: new/../new/bad.png: not a readable image" in done.err
    assert done.err.endswith("remove or replace it, or name other files\n")


def test_messages_call_files_files(album: None, cli: Cli) -> None:
    Path("below").mkdir()
    Image.new("RGB", (20, 20), "red").save("below/large.png")
    done = cli("assign new/red.png below/large.png")
    assert "clusterkit: 2 files: the images have 2 sizes" in done.err
    assert "folder:" not in done.err
    done = cli("report --assignments assigned.h5 --truth")
    assert (done.code, "--truth: the set of 2 files has no labels" in done.err) == (2, True)
    assert cli("report --assignments assigned.h5").code == 0
    assert "2 files" in (OUT / "report.html").read_text()
    draw("new/red.png", COLOURS[1], 7)
    done = cli("report --assignments assigned.h5")
    assert (done.code, "the content of the named files has changed" in done.err) == (3, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("folder:new new/red.png", 2, "folder:new: name one data set, or only image files"),
        ("new/red.png digits", 2, "digits: name one data set, or only image files"),
        ("new/red.png new", 2, "new: a folder; name it alone, as folder:new"),
        ("new", 2, "new: a folder; name it alone, as folder:new"),
        ("new/nothing.png", 3, "new/nothing.png: no such file; check the path"),
        ("new/red.png nothing", 3, "nothing: no such file; check the path"),
        ("nothing", 2, "unknown data set 'nothing'"),
        ("new/red.png --flat", 2, "--flat: works only with a folder"),
        ("new/red.png --keep-duplicates", 2, "--keep-duplicates: works only with a folder"),
        ("", 2, "Missing argument"),
    ],
)
def test_words_that_are_no_files_and_no_data_set(words: str, code: int, text: str, album: None, cli: Cli) -> None:
    done = cli(f"assign {words}")
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert not (OUT / "assigned.h5").exists()


def test_a_file_named_twice_counts_once(album: None, cli: Cli) -> None:
    assert len(rows("assign new/red.png new/../new/red.png new/blue.png", cli)) == 2


def test_vectors_take_no_files(points: Path, cli: Cli) -> None:
    draw("a.png", COLOURS[0], 1)
    done = cli("assign a.png")
    assert (done.code, "but the network reads (2,)" in done.err) == (3, True)


def test_a_network_that_knows_nothing_of_its_clusters_is_judged_by_probability(album: None, cli: Cli) -> None:
    path = OUT / "ccn.safetensors"
    header, state = read_checkpoint(path, "ccn")
    bare = {name: value for name, value in state.items() if not name.startswith("typical/")}
    assert len(bare) == len(state) - 3
    write_checkpoint(Path("bare.safetensors"), header, bare)
    done = cli("assign new/red.png --model bare.safetensors")
    assert done.code == 0
    assert "bare.safetensors: does not hold what its clusters look like" in done.err
    [row] = rows("assign new/red.png --model bare.safetensors", cli)
    assert row["unlike"] == pytest.approx(2 * (1 - row["probability"]), abs=1e-5)  # type: ignore[operator]


def test_a_part_of_what_a_network_knows_is_damage(album: None, cli: Cli) -> None:
    header, state = read_checkpoint(OUT / "ccn.safetensors", "ccn")
    del state["typical/all/mean"]
    write_checkpoint(Path("part.safetensors"), header, state)
    done = cli("assign new/red.png --model part.safetensors")
    assert (done.code, "part.safetensors: damaged" in done.err) == (3, True)


def test_a_file_without_networks_is_damage(cli: Cli) -> None:
    draw("a.png", COLOURS[0], 1)
    archive = Path(__file__).parents[1] / "data" / "archives" / "v1" / "ccn.safetensors"
    done = cli(f"assign a.png --model {archive}")
    assert (done.code, "ccn.safetensors: damaged" in done.err) == (3, True)


def test_classes_are_named(album: None, cli: Cli) -> None:
    assert cli("pretrain folder:old --backbone mlp --epochs 5 --size 16").code == 0
    result = rows("assign new/red.png new/blue.png --model pretrained.safetensors", cli)
    assert [row["class"] for row in result] == ["r", "b"]
    assert "new/red.png\tr\t" in cli("assign new/red.png --model pretrained.safetensors").out
    unknown = rows("assign new/green.png --model pretrained.safetensors --unknown", cli)
    assert (unknown[0]["cluster"], unknown[0]["class"]) == (-1, None)
    assert cli("assign folder:old --model pretrained.safetensors --unknown").code == 0
    assert cli("evaluate --assignments assigned.h5").code == 0


def test_python_reads_the_new_arrays(album: None, cli: Cli) -> None:
    assert cli("assign new/red.png").code == 0
    artifact = clusterkit.load(OUT / "assigned.h5")
    assert artifact["all"]["unlike"].shape == (1,)
    assert len(artifact.header["dataset"]["files"]) == 1
