"""Files that no longer belong together, and folders that have changed or moved, are never used in silence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.lineage import again
from tests.conftest import Cli

OUT = Path("clusterkit-out")
SMALL = "--backbone mlp --epochs 1"


def draw(path: str, shade: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 60, (8, 8, 3)).astype(np.uint8) + np.uint8(shade)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos() -> None:
    for number in range(12):
        draw(f"photos/{'ab'[number % 2]}/{number}.png", 90 * (number % 2) + number)


@pytest.fixture
def pairs(photos: None, cli: Cli) -> None:
    """A G, and automatic pairs of the folder."""
    assert cli(f"train-g folder:photos --hidden 8 --size 8 {SMALL}").code == 0
    assert cli(f"cluster folder:photos --k 4 {SMALL}").code == 0


def test_assign_refuses_a_network_of_other_clusters(points: Path, cli: Cli) -> None:
    shutil.copy(OUT / "ccn.safetensors", "kept.safetensors")
    assert cli("cluster --k 9 --epochs 1 --backbone mlp").code == 0
    assert cli("assign synthetic:blobs").code == 0
    shutil.copy("kept.safetensors", OUT / "ccn.safetensors")
    before = (OUT / "assigned.h5").read_bytes()
    done = cli("assign synthetic:blobs")
    assert (done.code, done.out) == (3, "")
    assert f"{OUT}/ccn.safetensors: is not the network of the clusters in {OUT}/assignments.h5" in done.err
    assert "run: clusterkit cluster synthetic:blobs" in done.err
    assert (OUT / "assigned.h5").read_bytes() == before
    # Elsewhere, and under another name, no clusters are beside it.
    assert cli("assign synthetic:blobs --model kept.safetensors").code == 0


def test_assign_refuses_an_adapted_network_of_another_run(points: Path, cli: Cli) -> None:
    shutil.copy(OUT / "adapted.safetensors", "kept.safetensors")
    assert cli("adapt synthetic:blobs synthetic:blobs --steps 2 --backbone mlp").code == 0
    shutil.copy("kept.safetensors", OUT / "adapted.safetensors")
    done = cli("assign synthetic:blobs --model adapted.safetensors")
    assert done.code == 3
    assert f"is not the network of the clusters in {OUT}/adapted.h5; run: clusterkit adapt synthetic:blobs" in done.err
    (OUT / "adapted.h5").unlink()
    assert cli("assign synthetic:blobs --model adapted.safetensors").code == 0


def test_assign_names_damaged_clusters_beside_the_network(points: Path, cli: Cli) -> None:
    (OUT / "assignments.h5").write_bytes(b"\x89HDF\r\n\x1a\n clusterkit")
    done = cli("assign synthetic:blobs")
    assert (done.code, f"{OUT}/assignments.h5: damaged" in done.err) == (3, True)


def test_a_method_without_a_network_says_that_one_of_earlier_clusters_is_left(points: Path, cli: Cli) -> None:
    network = (OUT / "ccn.safetensors").read_bytes()
    done = cli("cluster --method kmeans --k 5")
    assert done.code == 0
    assert f"cluster: {OUT}/ccn.safetensors belongs to earlier clusters, not to these" in done.err
    assert (OUT / "ccn.safetensors").read_bytes() == network
    done = cli("assign synthetic:blobs")
    assert (done.code, "is not the network of the clusters" in done.err) == (3, True)
    (OUT / "ccn.safetensors").unlink()
    assert "belongs to earlier clusters" not in cli("cluster --method kmeans --k 5").err


def test_a_network_whose_features_are_clustered_stays_and_is_not_that_of_the_clusters(points: Path, cli: Cli) -> None:
    network = (OUT / "ccn.safetensors").read_bytes()
    for _ in range(2):
        done = cli("cluster --method kmeans --k 5 --features ccn")
        assert (done.code, "belongs to earlier clusters" in done.err) == (0, False)
        assert (OUT / "ccn.safetensors").read_bytes() == network
    done = cli("assign synthetic:blobs")
    assert (done.code, "is not the network of the clusters" in done.err) == (3, True)


def test_a_failed_clustering_leaves_the_network(points: Path, cli: Cli) -> None:
    before = {name: sha256(OUT / name) for name in ("assignments.h5", "ccn.safetensors")}
    assert cli("cluster --method kmeans --k 5000").code == 2
    assert {name: sha256(OUT / name) for name in before} == before


def test_estimate_k_refuses_pairs_of_another_g(points: Path, cli: Cli) -> None:
    assert cli("train-g synthetic:moons --backbone mlp --hidden 8 --epochs 1").code == 0
    done = cli("estimate-k")
    assert (done.code, done.out) == (3, "")
    assert f"{OUT}/pairs.h5: was made from another g.safetensors" in done.err
    assert "run: clusterkit predict-pairs synthetic:blobs" in done.err


def test_files_hold_digests_of_the_names_of_own_data_only(pairs: None, cli: Cli) -> None:
    digests = read_hdf5(OUT / "pairs.h5", "pairs")[1]["all"]["name_digest"]
    assert (digests.dtype, digests.shape) == (np.dtype("<u8"), (12,))
    assert np.array_equal(read_assignments(OUT / "assignments.h5")[1]["all"].name_digest, digests)
    assert b".png" not in (OUT / "pairs.h5").read_bytes() + (OUT / "assignments.h5").read_bytes()
    assert cli("cluster synthetic:blobs --pairs labels --method spectral --k 5").code == 0
    assert read_assignments(OUT / "assignments.h5")[1]["all"].name_digest is None


def test_automatic_pairs_say_how_many_files_are_new_and_gone(pairs: None, cli: Cli) -> None:
    assert "predicting" not in cli(f"cluster folder:photos --k 4 {SMALL}").err
    draw("photos/a/new.png", 3)
    draw("photos/b/new.png", 4)
    Path("photos/a/0.png").unlink()
    done = cli(f"cluster folder:photos --k 4 {SMALL}")
    assert done.code == 0, done.err
    text = f"folder:photos: 2 files are new and 1 is gone since {OUT}/pairs.h5 was made"
    assert f"predicting pairs first ({text})" in done.err
    assert len(read_assignments(OUT / "assignments.h5")[1]["all"].id) == 13
    draw("photos/a/new.png", 5)
    assert "(folder:photos: no file is new or gone, but some have changed since" in cli(f"cluster --k 4 {SMALL}").err


def test_pairs_of_the_user_and_clusters_say_how_many_files_are_new_and_gone(pairs: None, cli: Cli) -> None:
    assert cli("predict-pairs folder:photos").code == 0
    assert cli(f"cluster --k 4 {SMALL}").code == 0
    draw("photos/a/new.png", 3)
    for line, name, stage in (
        (f"cluster folder:photos --k 4 {SMALL}", "pairs.h5", "predict-pairs"),
        ("evaluate", "assignments.h5", "cluster"),
        ("report", "assignments.h5", "cluster"),
    ):
        done = cli(line)
        assert (done.code, done.out) == (3, "")
        assert (
            f"{OUT}/{name}: the content of folder:photos has changed since this file was made (1 file is new and 0 are "
            f"gone); run: clusterkit {stage} folder:photos" in done.err
        )


def test_clusters_without_pairs_say_how_many_files_are_new_and_gone(photos: None, cli: Cli) -> None:
    line = "cluster folder:photos --method kmeans --k 3"
    assert "new" not in cli(line).err
    assert "new" not in cli(line).err
    draw("photos/a/new.png", 3)
    done = cli(line)
    assert done.code == 0
    assert f"cluster: folder:photos: 1 file is new and 0 are gone since {OUT}/assignments.h5 was made" in done.err


@pytest.mark.parametrize("line", ["evaluate", "report", f"cluster --k 4 {SMALL}"])
def test_data_that_are_not_where_a_moved_file_says(line: str, pairs: None, cli: Cli) -> None:
    Path("deep/er").mkdir(parents=True)
    shutil.move(OUT, "deep/er/results")
    name = "pairs.h5" if line.startswith("cluster") else "assignments.h5"
    done = cli(f"{line} --workdir deep/er/results")
    assert (done.code, done.out) == (3, "")
    assert (
        f"deep/er/photos: no such file or folder; deep/er/results/{name} was made from folder:../photos, a path that "
        "starts at its own folder; move the data or that file back" in done.err
    )
    shutil.move("deep/er/results", OUT)
    assert cli(line).code == 0


def test_the_command_that_clusters_again_has_the_settings_of_the_clustering(cli: Cli) -> None:
    points = np.arange(12.0)[:, None] // 4 * 9
    np.savez("a.npz", x=points)
    Path("pc.csv").write_text("0,1,must\n")
    line = "cluster arrays:a.npz --constraint-weight 2.0 --constraints pc.csv --k 3 --method mpckmeans"
    line += " --pairs constraints --max-pairs 40 --seed 4 --workdir work"
    assert cli(line).code == 0
    np.savez("a.npz", x=points + 1)
    done = cli("evaluate --workdir work")
    assert done.code == 3
    assert f"; run: clusterkit {line}\n" in done.err
    made = Path("work/assignments.h5")
    header = read_assignments(made)[0]
    assert "--constraint" not in again(header, made, "arrays:b.npz"), "constraints are of one set"
    assert cli(line).code == 0
    assert "of another run" not in cli(line).err
