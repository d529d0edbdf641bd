"""The zero-shot sets, on small files of the published form."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from clusterkit.config import Kind
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.overlap import overlap

LABELS = np.repeat([1, 2, 3, 4], 5)
"""Two seen classes, 1 and 3, and two unseen ones."""
FEATURES = np.random.default_rng(0).random((6, 20)).astype(np.float32).astype(np.float64)
LOCATIONS = {
    "trainval_loc": np.array([14, 1, 2, 11, 13]),
    "test_seen_loc": np.array([3, 12]),
    "test_unseen_loc": np.array([20, 6, 7, 8, 16, 17]),
}
NAMES = np.array(["001.auk", "002.bee eater", "003.crow", "004.dove"], object)[:, None]


def write(root, name="CUB", *, drop=(), **changes):
    """Write both files of a set, with changed arrays and without the dropped ones."""
    place = root / "xlsa17" / "data" / name
    place.mkdir(parents=True, exist_ok=True)
    paths = np.array([f"/images/{n}.jpg" for n in range(20)], object)[:, None]
    arrays = {"features": FEATURES, "labels": LABELS.astype(np.uint8)[:, None], "image_files": paths}
    splits = {key: value[:, None].astype(float) for key, value in LOCATIONS.items()}
    splits |= {"allclasses_names": NAMES, "att": np.ones((3, 4)), "val_loc": np.ones((1, 1))}
    for part, file in ((arrays, "res101.mat"), (splits, "att_splits.mat")):
        part |= {key: value for key, value in changes.items() if key in part}
        savemat(place / file, {key: value for key, value in part.items() if key not in drop}, do_compression=True)
    return place


def test_the_subsets_are_the_published_parts(tmp_path):
    write(tmp_path)
    data = load_dataset("xlsa:CUB", tmp_path)
    assert (data.kind, data.shape, data.target) == (Kind.VECTORS, (6,), "xlsa:CUB/unseen")
    assert data.classes == tuple(name for [name] in NAMES)
    assert [subset.name for subset in data.subsets] == ["seen", "seen-test", "unseen"]
    for subset, numbers in zip(data.subsets, LOCATIONS.values(), strict=True):
        ids = np.sort(numbers) - 1
        assert subset.ids.tolist() == ids.tolist()
        assert np.array_equal(subset.images.numpy(), FEATURES.T[ids])
        assert subset.labels.tolist() == (LABELS[ids] - 1).tolist()
        alone = load_dataset(f"xlsa:CUB/{subset.name}", tmp_path)
        assert alone.union().ids.tolist() == ids.tolist()
        assert alone.fingerprint == data.fingerprint
    assert load_dataset("xlsa:CUB/unseen@3", tmp_path).present_classes() == ("004.dove",)


def test_a_set_may_lack_the_names_of_its_classes(tmp_path):
    write(tmp_path, "FLO", drop=["allclasses_names"], labels=LABELS[None].astype(float))
    assert load_dataset("xlsa:FLO/unseen", tmp_path).classes == ("1", "2", "3", "4")


def test_seen_and_unseen_share_no_photos(tmp_path):
    write(tmp_path)
    seen, unseen, whole = (load_dataset(f"xlsa:CUB{part}", tmp_path).to_header() for part in ("/seen", "/unseen", ""))
    assert not overlap(seen, unseen)
    assert overlap(whole, unseen)


def test_a_clustering_of_the_unseen_classes(tmp_path, cli):
    write(tmp_path)
    assert cli("train-g xlsa:CUB/seen --data . --head metric").code == 0
    assert cli("predict-pairs --data .").code == 0
    assert cli("cluster --k 2 --method kmeans --data .").code == 0
    assert cli("evaluate --data .").code == 0
    rows = json.loads(cli("datasets --data . --json").out)
    assert (rows["xlsa:CUB"]["state"], rows["xlsa:SUN"]["state"]) == ("present", "absent")


BAD = {
    "features is float64 (20, 6), with 20 labels": {"features": FEATURES.T},
    "features is float64 (6, 20), with 19 labels": {"labels": LABELS[:19, None]},
    "labels is int64 (2, 10)": {"labels": LABELS.reshape(2, 10)},
    "labels has 0, which is no whole number from 1": {"labels": LABELS[:, None] - 1},
    "labels has 1.5, which": {"labels": LABELS[:, None] + 0.5},
    "it has no array labels": {"drop": ["labels"]},
    "it has no array test_unseen_loc": {"drop": ["test_unseen_loc"]},
    "features has 1 NaN or infinite values, the first at item 7": {
        "features": np.where(np.arange(120).reshape(6, 20) == 7, np.nan, FEATURES)
    },
    "trainval_loc has 21, which is no whole number from 1 to 20": {"trainval_loc": np.array([[21], [1]])},
    "test_seen_loc has nan": {"test_seen_loc": np.array([[np.nan]])},
    "trainval_loc has a number twice": {"trainval_loc": np.array([[1], [1]])},
    "1 photos are in both trainval_loc and test_seen_loc": {"test_seen_loc": np.array([[3], [2]])},
    "1 classes of test_unseen_loc are also seen": {"test_unseen_loc": np.array([[20], [6], [15]])},
    "labels up to 4, but 3 classes": {"allclasses_names": NAMES[:3]},
    "allclasses_names is no list of different names": {"allclasses_names": NAMES[[0, 1, 2, 0]]},
}


@pytest.mark.parametrize("says", BAD)
def test_bad_content(says, tmp_path, cli):
    place = write(tmp_path, **BAD[says])
    done = cli("train-g xlsa:CUB/seen --data .")
    assert done.code == 3
    assert says in done.err
    assert done.err.count("\n") == 1
    assert str(place.relative_to(tmp_path)) in done.err


def test_missing_and_damaged_files(tmp_path, cli):
    place = write(tmp_path)
    for path in (place / "res101.mat", place / "att_splits.mat"):
        whole = path.read_bytes()
        for content in (b"", b"MATLAB", whole[:100], whole[: len(whole) // 2], b"\x89HDF" + whole):
            path.write_bytes(content)
            done = cli("train-g xlsa:CUB/seen --data .")
            assert done.code == 3, content
            assert done.err.startswith(f"clusterkit: error: {path.relative_to(tmp_path)}: damaged")
            assert done.err.count("\n") == 1
        path.unlink()
        done = cli("train-g xlsa:CUB/seen --data .")
        assert done.code == 3
        assert f"it cannot be downloaded; expected: {path.relative_to(tmp_path)}; put it there" in done.err
        path.write_bytes(whole)
    assert cli("train-g xlsa:CUB/nobody --data .").code == 2
    assert "did you mean xlsa:CUB?" in cli("train-g xlsa:CUBS --data .").err
