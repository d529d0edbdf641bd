import hashlib
import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from clusterkit.config import Kind
from clusterkit.datasets import images
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.datasets.imagenet import HELD_OUT, TEN, drawn
from clusterkit.datasets.stream import Stream
from clusterkit.errors import InputError

OTHERS = ("n01440764", "n02123045", "n15075141")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A data root with two small photos of each held-out class and three of three others."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name in (*HELD_OUT, *OTHERS):
        place = root / "imagenet" / "train" / name
        place.mkdir(parents=True)
        for number in range(3 if name in OTHERS else 2):
            pixels = random.integers(0, 256, (9, 8 + number, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{name}_{number}.JPEG")
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "data")


def read(name, root, **form):
    return load_dataset(name, root, offline=True, **{"size": 8, **form})


def test_the_lists():
    assert len(HELD_OUT) == len(set(HELD_OUT)) == 118
    assert list(HELD_OUT) == sorted(HELD_OUT)
    assert len(set(TEN)) == 10
    assert set(TEN) <= set(HELD_OUT)


def test_the_drawn_classes_never_change():
    digests = {"1": "c66727372af63db4", "2": "7e651780b06f6f53", "3": "22666b30fe62bb82"}
    for subset, digest in digests.items():
        names = drawn(subset)
        assert len(set(names) & set(HELD_OUT)) == len(names) == 30
        assert names == sorted(names)
        assert hashlib.sha256(" ".join(names).encode()).hexdigest().startswith(digest)


def test_the_other_classes_are_the_source(tree, caplog):
    caplog.set_level(logging.INFO, "clusterkit")
    found = read("imagenet882", tree)
    assert (found.classes, found.target, found.kind, found.shape) == (OTHERS, "imagenet118", Kind.PHOTOS, (3, 8, 8))
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.union().names[3] == f"{OTHERS[1]}/{OTHERS[1]}_0.JPEG"
    assert "3 classes besides the 118 held out, not 882" in caplog.text


def test_the_held_out_classes_and_ten_of_them(tree):
    whole = read("imagenet118", tree)
    assert (whole.classes, len(whole)) == (HELD_OUT, 236)
    ten = read("imagenet10r2", tree, channels=1)
    assert (ten.classes, len(ten), ten.shape) == (TEN, 20, (1, 8, 8))
    assert torch.equal(read("imagenet118@2", tree).union().images, read("imagenet10r2@0", tree).union().images)
    assert read("imagenet10r2", tree, size=None).shape == (3, 224, 224)


@pytest.mark.parametrize("memory", [2**30, 0])
def test_each_subset_is_a_problem_of_its_own(tree, tmp_path, memory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(images, "MEMORY", memory)
    found = read("imagenet118_30", tree)
    assert [subset.name for subset in found.subsets] == ["1", "2", "3"]
    assert isinstance(found.subsets[0].images, Stream) == (memory == 0)
    assert found.union().ids.tolist() == list(range(180))
    whole = read("imagenet118", tree).union()
    pixels = dict(zip(whole.names, torch.cat(list(whole.blocks())), strict=True))
    for subset in found.subsets:
        names = [path.split("/")[0] for path in subset.names]
        assert sorted(set(names)) == drawn(subset.name)
        assert [found.classes[label] for label in subset.labels] == names
        assert torch.equal(torch.cat(list(subset.blocks())), torch.stack([pixels[path] for path in subset.names]))
    assert set(found.subsets[0].names) & set(found.subsets[1].names)
    assert torch.equal(torch.cat(list(found.union().blocks()))[60:120], torch.cat(list(found.subsets[1].blocks())))
    second = read("imagenet118_30/2", tree)
    assert second.union().ids.tolist() == list(range(60, 120))
    assert second.union().names == found.subsets[1].names


def test_a_large_set_is_streamed_as_the_same_images(tree, tmp_path, monkeypatch):
    held = read("imagenet882", tree)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(images, "MEMORY", 9 * 8 * 8 * 3 - 1)
    for _ in range(2):
        streamed = read("imagenet882", tree).union().images
        assert torch.equal(torch.cat(list(streamed.batches(torch.arange(9).split(4)))), held.union().images)
    assert len(list(tmp_path.glob("clusterkit/decoded/*.raw"))) == 1


@pytest.mark.parametrize("name", ["imagenet882", "imagenet118", "imagenet118_30", "imagenet10r2"])
def test_a_missing_folder_says_what_is_expected(name, tmp_path):
    with pytest.raises(InputError, match="it cannot be downloaded") as caught:
        load_dataset(name, tmp_path)
    assert str(tmp_path / "imagenet" / "train" / "CLASS" / "*.JPEG") in str(caught.value)


def refused(name, root):
    with pytest.raises(InputError) as caught:
        read(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_classes_are_named_and_counted(copy):
    place = copy / "imagenet" / "train"
    shutil.rmtree(place / TEN[3])
    for path in (place / TEN[7]).iterdir():
        path.unlink()
    assert refused("imagenet10r2", copy).startswith(
        f"{place / TEN[3]}: no images of this class (2 of the 10 classes have none); expected {place}/CLASS/*.JPEG"
    )
    assert "2 of the 118" in refused("imagenet118", copy)
    shutil.rmtree(place / drawn("3")[0])
    assert f"{place / drawn('3')[0]}: " in refused("imagenet118_30", copy)
    assert len(read("imagenet882", copy)) == 9
    for name in OTHERS[1:]:
        shutil.rmtree(place / name)
    assert "only 1 classes with images besides the 118 held out, two are needed" in refused("imagenet882", copy)
    shutil.rmtree(place)
    place.touch()
    assert "Not a directory" in refused("imagenet882", copy)
    assert "no images of this class (118 of the 118" in refused("imagenet118", copy)


@pytest.mark.parametrize("memory", [2**30, 0])
def test_a_truncated_image_is_named(copy, tmp_path, memory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(images, "MEMORY", memory)
    path = copy / "imagenet" / "train" / TEN[0] / f"{TEN[0]}_1.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=rf"{path}: not a readable image"):
        list(read("imagenet10r2", copy).union().blocks())
    assert len(read("imagenet882", copy)) == 9


def test_the_commands_take_them(cli, copy):
    rows = json.loads(cli(f"datasets --json --data {copy}").out)
    assert all(rows[name]["state"] == "present" for name in ("imagenet882", "imagenet118", "imagenet118_30"))
    assert json.loads(cli("datasets --json --data nowhere").out)["imagenet10r2"]["state"] == "absent"
    form = f"--data {copy} --backbone mlp"
    assert cli(f"train-g imagenet882 {form} --hidden 8 --size 8 --epochs 1").code == 0
    done = cli(f"predict-pairs --data {copy}")
    assert done.code == 0, done.err
    assert cli(f"predict-pairs imagenet118_30 --data {copy}").code == 0
    assert cli(f"cluster imagenet118_30 {form} --k 30 --epochs 1").code == 0
    assert cli(f"evaluate --data {copy}").code == 0
